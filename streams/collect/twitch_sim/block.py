"""Lines of chat as the server holds them: one buffer, and columns that say where each line is and what it is.

Feeds make blocks; the stage re-stamps slices of them in place and hands them to sessions and the ledger.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.collect.twitch import derived_id

NO_EVENT: Final = 255
"""Kind of a line that is no event of its channel: a shared-chat copy, a cleared room."""
STAMP: Final = b"tmi-sent-ts="
_DIGITS: Final = 10 ** np.arange(12, -1, -1, dtype=np.int64)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
Numbers = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Block:
    """n whole lines with their ends.

    starts: (n + 1,) offsets into data; stamps: (n,) where the 13 digits of tmi-sent-ts stand, -1 for none; at: (n,)
    their value, ms; arrival: (n,) ms, ascending; channel: (n,) room's number; kind: (n,) event's kind or NO_EVENT;
    privmsg: (n,); ids: (n, 16) event ids; derived: rows whose id follows from the line; first: (n,) row of the first
    line with the same id, which is the row itself but for lines that come again.
    """

    data: bytearray
    starts: Numbers
    stamps: Numbers
    at: Numbers
    arrival: Numbers
    channel: Numbers
    kind: NDArray[np.uint8]
    privmsg: NDArray[np.bool_]
    ids: NDArray[np.uint8]
    derived: list[int]
    first: Numbers

    def __len__(self) -> int:
        return len(self.at)

    def line(self, row: int) -> bytes:
        """One line with its end."""
        return bytes(self.data[self.starts[row] : self.starts[row + 1]])

    def stamp(self, start: int, end: int, now_ms: int) -> None:
        """Rows [start, end) are said now: each keeps how much later than its own time it arrives, and a line that
        comes again keeps the time it had. What follows from it (ids of lines without one) follows."""
        rows = np.arange(start, end)
        own = self.first[start:end] == rows
        self.at[start:end] = np.where(own, now_ms - (self.arrival[start:end] - self.at[start:end]), 0)
        self.at[start:end] = self.at[self.first[start:end]]
        stamped = np.flatnonzero(self.stamps[start:end] >= 0) + start
        digits = (self.at[stamped, None] // _DIGITS % 10 + 0x30).astype(np.uint8)
        view = np.frombuffer(self.data, np.uint8)
        view[self.stamps[stamped, None] + np.arange(13)] = digits

    def derive(self, start: int, end: int) -> None:
        """Put the ids of those rows in [start, end) that have none of their own."""
        for row in self.derived:
            if start <= row < end:
                raw = self.line(row).removesuffix(b"\r\n")
                self.ids[row] = np.frombuffer(derived_id(raw, 0), np.uint8)


def first_of_id(ids: NDArray[np.uint8], derived: list[int]) -> Numbers:
    """(n,) the first row with the same id; rows of derived ids are always their own."""
    n = len(ids)
    words = np.ascontiguousarray(ids).view("<u8")
    mixed = words[:, 0] * _MIX ^ words[:, 1]
    _, index, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    first: Numbers = index[inverse].astype(np.int64)
    own = np.arange(n)
    same = (words[first] == words).all(axis=1)
    same[derived] = False
    return np.where(same, first, own)
