"""Events of one channel as columns: what readers make, envelopes carry and the fold takes."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

MESSAGE: Final = 0
SUB: Final = 1
RESUB: Final = 2
GIFT: Final = 3
RAID: Final = 4
NOTICE: Final = 5
BAN: Final = 6
DELETION: Final = 7
KIND_NAMES: Final = ("message", "sub", "resub", "gift", "raid", "notice", "ban", "deletion")
LAST_FOLDED_KIND: Final = NOTICE
"""Kinds 0..5 give their user presence; 6 and 7 are recorded, not folded (design: From a line to an event)."""

MIN_AT_MS: Final = 1_293_840_000_000
"""2011-01-01T00:00:00Z, the earliest time an event may bear."""
MAX_AT_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z; times lie in [MIN_AT_MS, MAX_AT_MS)."""


class EventColumns(msgspec.Struct, eq=False):
    """n events of one channel, in arrival order.

    viewers: unique (identity, lowercase login) pairs; at: (n,) i64 ms UTC; ids: (n, 16) u8; kind: (n,) u8 0..7;
    who: (n,) u32 index into viewers; amount: (n,) u32 (bits of a message, viewers of a raid, else 0).
    """

    viewers: Sequence[tuple[str, str]]
    at: NDArray[np.int64]
    ids: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    who: NDArray[np.uint32]
    amount: NDArray[np.uint32]
    _span_ms: tuple[int, int] | None = None

    @property
    def span_ms(self) -> tuple[int, int]:
        """The least and the greatest time; of no events an error of numpy's. Columns are not changed once made."""
        if self._span_ms is None:
            self._span_ms = int(np.minimum.reduce(self.at)), int(np.maximum.reduce(self.at))
        return self._span_ms

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "EventColumns":
        """The chosen rows, in their order; viewers stay as they are."""
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        # take() is several times as fast as rows in brackets, above all for ids.
        return EventColumns(
            self.viewers,
            self.at.take(rows),
            self.ids.take(rows, axis=0),
            self.kind.take(rows),
            self.who.take(rows),
            self.amount.take(rows),
        )


_Whole = TypeVar("_Whole", np.int64, np.uint64)


def distinct(values: NDArray[_Whole]) -> NDArray[_Whole]:
    """Each value once, ascending: what np.unique gives, whose first plain call loads 50 ms of masked arrays into every
    process that reads or folds."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
