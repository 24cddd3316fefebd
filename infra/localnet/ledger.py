"""What landed: by signature, by address, the newest so many."""

from collections import deque
from dataclasses import dataclass

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from infra.localnet.bank import Outcome


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction in a block. signature: base58; at_s: time of its block, s UTC; order: counts all that landed."""

    signature: str
    slot: int
    at_s: int
    order: int
    transaction: VersionedTransaction
    outcome: Outcome


class Ledger:
    """Bounded: beyond max_entries the oldest are forgotten, and counted."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[str, Entry] = {}
        self._by_address: dict[Pubkey, deque[Entry]] = {}
        self.landed_total = 0
        self.forgotten_total = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, signature: str, slot: int, at_s: int, transaction: VersionedTransaction, outcome: Outcome) -> Entry:
        """A transaction landed."""
        entry = Entry(signature, slot, at_s, self.landed_total, transaction, outcome)
        self._entries[signature] = entry
        for address in transaction.message.account_keys:
            self._by_address.setdefault(address, deque()).append(entry)
        self.landed_total += 1
        if len(self._entries) > self._max_entries:
            self._forget_oldest()
        return entry

    def get(self, signature: str, slot: int) -> Entry | None:
        """The entry of that signature, where it landed no later than `slot`."""
        entry = self._entries.get(signature)
        return entry if entry is not None and entry.slot <= slot else None

    def of_address(self, address: Pubkey, slot: int) -> list[Entry]:
        """Entries that name this address and landed no later than `slot`, newest first."""
        return [entry for entry in reversed(self._by_address.get(address, ())) if entry.slot <= slot]

    def _forget_oldest(self) -> None:
        oldest = self._entries.pop(next(iter(self._entries)))
        self.forgotten_total += 1
        for address in oldest.transaction.message.account_keys:
            entries = self._by_address[address]
            entries.popleft()
            if not entries:
                del self._by_address[address]
