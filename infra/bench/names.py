"""Short strings of a column as numbers, by a table that is looked into for a whole column at once."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.collect.fast_ndjson import gather

U64 = NDArray[np.uint64]
_MIX: Final = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)
_FIRST: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_MAX_TABLE_BITS: Final = 20


class Names:
    """Numbers names of up to 32 bytes in the order they are met. A name is its words: exact, not a hash."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self._known = np.zeros((0, 4), np.uint64)
        self._bits = 8
        self._table = np.zeros(1 << self._bits, np.intp)

    def numbers(self, padded: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.intp]:
        """(n,) the number of each name; new ones are learnt."""
        length = end - start
        longest = int(length.max()) if len(length) else 0
        if longest > 32:
            raise ValueError("a name of more than 32 bytes")
        used = max(1, -(-longest // 8))
        text = gather(padded, start, 8 * used)
        column = [text[:, i] & _FIRST[np.minimum(np.maximum(length - 8 * i, 0), 8)] for i in range(used)]
        found, right = self._look(column)
        while not right.all():
            new = np.flatnonzero(~right)[0]
            self._learn([int(part[new]) for part in column])
            found, right = self._look(column)
        return found

    def _look(self, column: list[U64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        if not self.names:
            return np.zeros(len(column[0]), np.intp), np.zeros(len(column[0]), np.bool_)
        found = self._table[_slot(column, self._bits)]
        right = column[0] == self._known[:, 0][found]
        for index in range(1, 4):
            want = self._known[:, index]
            if index < len(column):
                right &= column[index] == want[found]
            elif want.any():
                right &= want[found] == 0
        return found, right

    def _learn(self, parts: list[int]) -> None:
        self.names.append(b"".join(part.to_bytes(8, "little") for part in parts).rstrip(b"\0"))
        self._known = np.concatenate((self._known, np.array([parts + [0] * (4 - len(parts))], np.uint64)))
        while True:
            slots = _slot(list(self._known.T), self._bits)
            if len(np.unique(slots)) == len(slots):
                break
            self._bits += 1
            if self._bits > _MAX_TABLE_BITS:
                raise ValueError("too many names for the table")
        self._table = np.zeros(1 << self._bits, np.intp)
        self._table[slots] = np.arange(len(slots))


def _slot(column: list[U64], bits: int) -> NDArray[np.intp]:
    mixed = column[0] * _MIX[0]
    for part, factor in zip(column[1:], _MIX[1:], strict=False):
        mixed = mixed ^ part * factor
    return (mixed >> np.uint64(64 - bits)).astype(np.intp)
