"""Seeded chance in whole numbers only, so that every machine throws the same.

numpy promises the raw words of its bit generators for ever (NEP 19), and of its distributions nothing; and floating
point is not the same everywhere. So: raw words of PCG64, and integer arithmetic.
"""

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class Dice:
    """A stream of chance, given by its entropy (non-negative integers)."""

    def __init__(self, *entropy: int) -> None:
        self._raw = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw

    def below(self, n: int, bound: int | U64) -> Numbers:
        """(n,) numbers in [0, bound); bound (one, or one each) is in 1..2^31."""
        words = self._raw(n) >> np.uint64(33)
        return ((words * np.asarray(bound, np.uint64)) >> np.uint64(31)).astype(np.int64)

    def one(self, bound: int) -> int:
        """A number in [0, bound); bound is in 1..2^31."""
        return int(self._raw() >> 33) * bound >> 31

    def chance(self, ppm: int) -> bool:
        """True in ppm of a million cases."""
        return self.one(1_000_000) < ppm

    def which(self, n: int, shares: Numbers) -> Numbers:
        """(n,) indices; shares: ascending sums of integer weights, the last of them at most 2^31."""
        return np.searchsorted(shares, self.below(n, int(shares[-1])), "right").astype(np.int64)

    def uuids(self, n: int) -> NDArray[np.uint8]:
        """(n, 16) random UUIDs of version 4."""
        ids = self._raw(2 * n).astype("<u8").view(np.uint8).reshape(n, 16)
        ids[:, 6] = ids[:, 6] & 0x0F | 0x40
        ids[:, 8] = ids[:, 8] & 0x3F | 0x80
        return ids
