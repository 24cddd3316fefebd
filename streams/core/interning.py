"""Numbers for an epoch's (identity, login) pairs, in order of first sight.

Two ways give the same numbers. The table of Python's own always works and is the oracle; the fast extra's
(`interning_ir`) reads the pairs as they lie packed in the envelope and makes strings of new ones only.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import identity as identities
from schemas.errors import SchemaError
from schemas.packed import PackedPairs
from streams.core import kernels
from streams.core.interning_ir import PLAIN
from streams.core.kernels import Kernels, address
from streams.core.pairs import Pairs

Viewers = Sequence[tuple[str, str]]

PAIR_BYTES: Final = 48
"""About what one pair takes beside its text."""
_FIRST_PAIRS: Final = 512
_FIRST_BYTES: Final = 20_480

_encode = msgspec.msgpack.Encoder().encode


class PairTable(Protocol):
    """The pairs of one epoch."""

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """About what it holds in memory, in bytes."""

    def intern(self, viewers: Viewers) -> NDArray[np.uint32]:
        """The numbers of those pairs. Raises SchemaError on a damaged or malformed one, then nothing changed."""

    def pairs(self) -> Pairs:
        """All of them, in order of number."""


class PythonTable:
    """A dict of pairs."""

    __slots__ = ("_arena", "_numbers", "_starts")

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._arena = bytearray()
        self._starts = [0]

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        return len(self._arena) + (PAIR_BYTES + 150) * len(self)

    def intern(self, viewers: Viewers) -> NDArray[np.uint32]:
        known = self._numbers
        given = list(viewers)
        numbers = list(map(known.get, given))
        if None in numbers:
            fresh = dict.fromkeys([pair for pair, number in zip(given, numbers, strict=True) if number is None])
            identities.check_all([identity for identity, _ in fresh])
            for pair in fresh:
                known[pair] = len(known)
                self._arena += _encode(pair)
                self._starts.append(len(self._arena))
            numbers = list(map(known.get, given))
        return np.array(numbers, np.uint32)

    def pairs(self) -> Pairs:
        return Pairs(bytes(self._arena), np.array(self._starts, np.uint32))


class NativeTable:
    """Columns that the native code reads and fills; this class gives it room and checks what is new."""

    __slots__ = ("_arena", "_at", "_count", "_hashes", "_native", "_slots", "_starts")

    def __init__(self, native: Kernels) -> None:
        self._native = native
        self._count = 0
        self._arena = np.empty(_FIRST_BYTES, np.uint8)
        self._starts = np.zeros(_FIRST_PAIRS + 1, np.uint32)
        self._hashes = np.empty(_FIRST_PAIRS, np.uint64)
        self._slots = np.zeros(2 * _FIRST_PAIRS, np.uint32)
        self._at = self._addresses()

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._arena.nbytes + self._starts.nbytes + self._hashes.nbytes + self._slots.nbytes

    def intern(self, viewers: Viewers) -> NDArray[np.uint32]:
        packed = viewers if isinstance(viewers, PackedPairs) else PackedPairs.of(viewers)
        numbers = self._numbers(packed)
        if numbers is None:  # damaged, or packed in longer forms than need be: as Python strings, then again
            pairs = packed.decoded()
            identities.check_all([identity for identity, _ in pairs])
            numbers = self._numbers(PackedPairs.of(pairs))
        if numbers is None:
            raise SchemaError(f"viewers column of {len(viewers)} pairs cannot be numbered; it is damaged")
        return numbers

    def _numbers(self, packed: PackedPairs) -> NDArray[np.uint32] | None:
        before, count = self._count, len(packed)
        if not self._has_room(count, len(packed.elements)):
            self._grow(count, len(packed.elements))
        numbers: NDArray[np.uint32] = np.empty(count, np.uint32)
        after: int = self._native.intern(
            packed.elements, len(packed.elements), count, self._native.seed, *self._at, before, address(numbers)
        )
        if after < 0:
            self._place()
            return None
        if after & PLAIN:
            self._count = after ^ PLAIN
            return numbers
        start, end = int(self._starts[before]), int(self._starts[after])
        try:
            fresh = PackedPairs(after - before, self._arena[start:end].tobytes()).decoded()
            identities.check_all([identity for identity, _ in fresh])
        except SchemaError:
            self._place()
            raise
        self._count = after
        return numbers

    def _has_room(self, count: int, nbytes: int) -> bool:
        wanted = self._count + count
        return wanted <= len(self._hashes) and int(self._starts[self._count]) + nbytes <= len(self._arena)

    def _grow(self, count: int, nbytes: int) -> None:
        used = int(self._starts[self._count])
        room = max(2 * len(self._arena), used + nbytes)
        arena = np.empty(room, np.uint8)
        arena[:used] = self._arena[:used]
        self._arena = arena
        if self._count + count > len(self._hashes):
            pairs = 1 << (self._count + count - 1).bit_length()
            starts, hashes = np.zeros(pairs + 1, np.uint32), np.empty(pairs, np.uint64)
            starts[: self._count + 1] = self._starts[: self._count + 1]
            hashes[: self._count] = self._hashes[: self._count]
            self._starts, self._hashes, self._slots = starts, hashes, np.empty(2 * pairs, np.uint32)
            self._place()
        self._at = self._addresses()

    def _place(self) -> None:
        """Fill the slots with the pairs that count, and no others."""
        self._slots[:] = 0
        self._native.place(address(self._hashes), self._count, address(self._slots), len(self._slots) - 1)

    def _addresses(self) -> tuple[int, int, int, int, int]:
        return (
            address(self._arena),
            address(self._starts),
            address(self._hashes),
            address(self._slots),
            len(self._slots) - 1,
        )

    def pairs(self) -> Pairs:
        used = int(self._starts[self._count])
        return Pairs(self._arena[:used].tobytes(), self._starts[: self._count + 1].copy())


def pair_table() -> PairTable:
    """An empty table, of the fastest kind this process has."""
    return PythonTable() if kernels.active is None else NativeTable(kernels.active)
