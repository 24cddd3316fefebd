"""An epoch's (identity, login) pairs as packed bytes: where each lies, whose it is, and their refs.

In: the pairs that `interning` numbered, in order of number. Out: columns; a string only for whom somebody asks.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.packed import PackedPairs, PackedStrings
from streams.core import kernels
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

    __slots__ = ("_text", "_words", "identity_spans", "login_heads", "starts")

    def __init__(self, elements: bytes, starts: NDArray[np.uint32]) -> None:
        super().__init__(len(starts) - 1, elements)
        padded = elements + PADDING
        self._text = np.frombuffer(padded, np.uint8)
        self._words = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
        """The 8 bytes from every place on."""
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
        return self._having([identity], self.starts[:-1] + 1, self.login_heads)

    def with_login(self, logins: Collection[str]) -> list[int]:
        """Numbers of the pairs that have one of those."""
        if len(logins) > FEW_STRINGS:
            logins = {login for _, login in self} & set(logins)
        return self._having(logins, self.login_heads, self.starts[1:])

    def _having(self, strings: Iterable[str], heads: NDArray[np.int64], ends: NDArray[np.int64]) -> list[int]:
        """Pairs whose string between head and end is one of those. The last 8 bytes tell most apart; what is left is
        compared whole. No pair is shorter: the prefix of an identity alone is longer."""
        found: list[int] = []
        tails = self._words[ends - 8]
        for string in strings:
            packed = _encode(string)
            tail = packed[-8:]
            same = tails >> np.uint64(64 - 8 * len(tail)) == np.uint64(int.from_bytes(tail, "little"))
            for pair in np.flatnonzero(same).tolist():
                if self.elements.startswith(packed, heads[pair]):
                    found.append(pair)
        return found

    def _strings(self, rows: NDArray[np.intp], begin: NDArray[np.int64], end: NDArray[np.int64]) -> PackedStrings:
        if kernels.active is not None:
            return PackedStrings(len(rows), kernels.active.gather_strings(self._text, begin, end, rows))
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
