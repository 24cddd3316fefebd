"""An epoch's (identity, login) pairs as packed bytes: where each lies, whose it is, and their refs.

In: the pairs that `interning` numbered, in order of number. Out: columns; a string only for whom somebody asks.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from schemas.packed import PackedPairs, PackedStrings
from streams.core.hashing import viewer_refs_of

PADDING: Final = bytes(32)
"""Behind the text, so that words and rows can be read at any place in it."""
FEW_STRINGS: Final = 16
"""So many are sought in the bytes; of more, first those that occur are found."""

Spans = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where strings begin and how long they are, in bytes, without their headers."""

_encode = msgspec.msgpack.Encoder().encode


class Pairs(PackedPairs):
    """n pairs; `starts` (n + 1,) u32: where each begins, and where the last ends."""

    __slots__ = ("_text", "identity_spans", "login_heads", "starts")

    def __init__(self, elements: bytes, starts: NDArray[np.uint32]) -> None:
        super().__init__(len(starts) - 1, elements)
        self._text = np.frombuffer(elements + PADDING, np.uint8)
        self.starts = starts.astype(np.int64)
        # A pair is its array header, one byte, and two strings.
        self.identity_spans = _string_spans(self._text, self.starts[:-1] + 1)
        self.login_heads = self.identity_spans[0] + self.identity_spans[1]

    def refs(self, pepper: bytes, epoch_tag: bytes) -> NDArray[np.uint8]:
        """(n, 32) viewer refs of the identities in one epoch (spec: Evidence tree)."""
        return viewer_refs_of(self._text, *self.identity_spans, pepper, epoch_tag)

    def identities(self, rows: NDArray[np.intp]) -> PackedStrings:
        """The identities of those pairs, in that order."""
        return self._strings(rows, self.starts[:-1] + 1, self.login_heads)

    def logins(self, rows: NDArray[np.intp]) -> PackedStrings:
        """The logins of those pairs, in that order."""
        return self._strings(rows, self.login_heads, self.starts[1:])

    def with_identity(self, identity: str) -> list[int]:
        """Numbers of the pairs that have it."""
        return self._having(identity, self.starts[:-1] + 1)

    def with_login(self, logins: Collection[str]) -> list[int]:
        """Numbers of the pairs that have one of those."""
        if len(logins) > FEW_STRINGS:
            logins = {login for _, login in self} & set(logins)
        return [pair for login in logins for pair in self._having(login, self.login_heads)]

    def _having(self, string: str, heads: NDArray[np.int64]) -> list[int]:
        packed = _encode(string)
        # The last bytes of a string tell most of them apart; those that are left are compared whole.
        tail = max(0, len(packed) - 8)
        wanted = packed[tail:].ljust(8, b"\0")
        places = np.minimum(heads + tail, len(self._text) - 8)
        words = sliding_window_view(self._text, 8)[places].view(np.uint64).ravel()
        mask = (1 << 8 * len(packed[tail:])) - 1
        rows = np.flatnonzero(words & np.uint64(mask) == np.frombuffer(wanted, np.uint64))
        return [
            row
            for row, at in zip(rows.tolist(), heads[rows].tolist(), strict=True)
            if self.elements.startswith(packed, at)
        ]

    def _strings(self, rows: NDArray[np.intp], begin: NDArray[np.int64], end: NDArray[np.int64]) -> PackedStrings:
        begin = begin[rows]
        sizes = end[rows] - begin
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        places = np.repeat(begin - (ends - sizes), sizes) + np.arange(total)
        return PackedStrings(len(rows), self._text[places].tobytes())


def viewer_numbers(pairs: Sequence[tuple[str, str]]) -> tuple[NDArray[np.int64], int]:
    """For every pair the number of its identity, in order of first sight, and how many identities there are."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(identity, len(numbers)) for identity, _ in pairs], np.int64), len(numbers)


def _string_spans(text: NDArray[np.uint8], heads: NDArray[np.int64]) -> Spans:
    """The strings whose msgpack headers lie at `heads`, each in one of the four forms."""
    first = text[heads]
    if not len(heads) or int(first.max()) < 0xD9:  # fixstr, as all of Twitch's ids are
        return heads + 1, (first & 0x1F).astype(np.int64)
    begin, size = heads + 1, (first & 0x1F).astype(np.int64)
    for form, width in ((0xD9, 1), (0xDA, 2), (0xDB, 4)):
        rows = np.flatnonzero(first == form)
        begin[rows] += width
        size[rows] = 0
        for place in range(width):
            size[rows] = size[rows] * 256 + text[heads[rows] + 1 + place]
    return begin, size
