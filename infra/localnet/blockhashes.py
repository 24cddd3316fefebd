"""Blockhashes and their ages. A slot's hash follows from the cluster's seed, so none has to be kept.

Block height is the slot: this cluster leaves none out. Source of 150: Solana, MAX_PROCESSING_AGE.
"""

from typing import Final

from blake3 import blake3
from solders.hash import Hash

MAX_AGE: Final = 150
KEPT: Final = 2 * MAX_AGE + 2
"""Slots whose hashes are known: a node that lags MAX_AGE behind still knows its own."""


class Blockhashes:
    """Hash of slot and slot of hash, for the newest slots."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._slots: dict[Hash, int] = {}
        self._newest = -1

    def of(self, slot: int) -> Hash:
        """The hash of a slot."""
        return Hash.from_bytes(blake3(self._seed + slot.to_bytes(8, "little")).digest())

    def advance(self, slot: int) -> None:
        """Slots up to this one have begun."""
        oldest = max(0, slot - KEPT + 1)
        for one in range(max(oldest, self._newest + 1), slot + 1):
            self._slots[self.of(one)] = one
        self._newest = max(self._newest, slot)
        while len(self._slots) > KEPT:  # in order of insertion: the oldest goes first
            del self._slots[next(iter(self._slots))]

    def valid_at(self, blockhash: Hash, slot: int) -> bool:
        """Whether a transaction with this blockhash may land in this slot."""
        made = self._slots.get(blockhash)
        return made is not None and made <= slot <= made + MAX_AGE
