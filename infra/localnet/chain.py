"""What a validator is: slots go on, transactions land or do not, and it all stands in the journal.

In: transactions that a method accepted. Out: entries of the ledger, and calls to those who wait for slots and landings.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import orjson
from solders.compute_budget import set_compute_unit_limit
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from infra.localnet.bank import Bank, Outcome
from infra.localnet.blockhashes import MAX_AGE, Blockhashes
from infra.localnet.errors import LocalnetError
from infra.localnet.journal import Anchored, Genesis, Journal, Landed
from infra.localnet.ledger import Entry, Ledger
from infra.localnet.options import Counters, LocalnetOptions
from infra.localnet.slots import Anchor, SlotClock

FAUCET_COMPUTE_UNITS: Final = 1_000


def wall_ms() -> int:
    """Now, ms UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Chain:
    """One chain. Everything happens in the thread of its loop; `open` first, `close` last."""

    options: LocalnetOptions
    counters: Counters = field(default_factory=Counters)
    now_ms: Callable[[], int] = wall_ms
    on_slot: list[Callable[[int], None]] = field(default_factory=list)
    on_landed: list[Callable[[Entry], None]] = field(default_factory=list)
    journal: Journal = field(init=False)
    bank: Bank = field(init=False)
    blockhashes: Blockhashes = field(init=False)
    ledger: Ledger = field(init=False)
    clock: SlotClock = field(init=False)
    seed: bytes = field(init=False)
    replayed: int = field(init=False, default=0)
    _waiting: deque[tuple[int, VersionedTransaction]] = field(init=False, default_factory=deque)
    _airdrops: int = field(init=False, default=0)

    def open(self) -> None:
        """Run the journal again and go on from there. Raises LocalnetError."""
        try:
            self._open()
        except BaseException:
            self.journal.close()
            raise

    def _open(self) -> None:
        options = self.options
        self.journal = Journal(options.folder / "journal", max_bytes=options.max_journal_bytes, sync=options.sync)
        self.ledger = Ledger(options.max_entries)
        now_ms, anchor, last_slot, made = self.now_ms(), None, 0, version("solders")
        begun = False
        for record in self.journal.open():
            if isinstance(record, Genesis):
                self._begin(record.seed)
                begun, made = True, record.solders
            elif isinstance(record, Anchored):
                anchor = Anchor(record.slot, record.at_ms, record.slot_ms)
                last_slot = max(last_slot, record.slot)
            else:
                self._again(record, made)
                last_slot = max(last_slot, record.slot)
        if not begun:
            seed = secrets.token_bytes(32)
            self.journal.write(Genesis(seed, made))
            self._begin(seed)
        if anchor is not None:
            last_slot = max(last_slot, SlotClock(anchor).observe(now_ms))
        self.clock = SlotClock(Anchor(last_slot + 1, now_ms, options.slot_ms))
        self._write_anchor(self.clock.anchor)
        self.blockhashes.advance(self.slot)

    def close(self) -> None:
        """Let go of the journal; what waited to land late is gone, as in a node that stops."""
        self.journal.close()

    @property
    def slot(self) -> int:
        """The newest slot, which transactions land in."""
        return self.clock.slot

    @property
    def at_s(self) -> int:
        """Time of the newest slot's block, s UTC."""
        anchor = self.clock.anchor
        return (anchor.at_ms + (self.slot - anchor.slot) * anchor.slot_ms) // 1000

    def tick(self) -> None:
        """See whether a new slot is on."""
        before = self.slot
        if self.clock.observe(self.now_ms()) != before:
            self._slot_began()

    def advance(self, slots: int = 1) -> None:
        """Go on by hand."""
        self._write_anchor(self.clock.move_to(self.slot + slots, self.now_ms()))
        self._slot_began()

    def freeze(self) -> None:
        """The chain stands still: no new slot, nothing lands."""
        self.clock.frozen = True

    def thaw(self) -> None:
        """It goes on where it stood; what was sent meanwhile lands with the next slot, if it is still young."""
        if self.clock.frozen:
            self.clock.frozen = False
            self._write_anchor(self.clock.move_to(self.slot, self.now_ms()))

    def land(self, transaction: VersionedTransaction, *, verified: bool = False) -> Entry | None:
        """Put a transaction into the newest slot; None where it cannot land. As a leader it says no reason.

        verified: its signatures were seen to be good already; a look costs as much as half its run.
        """
        if self.clock.frozen:
            self.land_later(transaction, 1)
            return None
        signature = str(transaction.signatures[0])
        fresh = self.ledger.get(signature, self.slot) is None
        young = self.blockhashes.valid_at(transaction.message.recent_blockhash, self.slot)
        signed = verified or all(transaction.verify_with_results())
        if not (fresh and young and signed) or self.journal.full:
            self.counters.transactions_dropped_total += 1
            return None
        slot, at_s = self.slot, self.at_s
        outcome = self.bank.execute(transaction, slot, at_s)
        if not outcome.lands:
            self.counters.transactions_dropped_total += 1
            return None
        err = b"" if outcome.err is None else orjson.dumps(outcome.err)
        self.journal.write(Landed(slot, at_s, bytes(transaction), err))
        self.counters.transactions_landed_total += 1
        self.counters.transactions_failed_total += outcome.err is not None
        entry = self.ledger.add(signature, slot, at_s, transaction, outcome)
        for listener in self.on_landed:
            listener(entry)
        return entry

    def land_later(self, transaction: VersionedTransaction, slots: int) -> None:
        """Let it land so many slots from now, if it still can then."""
        if len(self._waiting) >= self.options.max_waiting:
            self.counters.transactions_dropped_total += 1
            return
        self._waiting.append((self.slot + slots, transaction))

    def simulate(self, transaction: VersionedTransaction, slot: int) -> tuple[Outcome, dict[Pubkey, Any]]:
        """Run it on the newest state, and change nothing. slot: the view that says whether it is young and new."""
        if self.ledger.get(str(transaction.signatures[0]), self.slot) is not None:
            return _refused("AlreadyProcessed"), {}
        if not self.blockhashes.valid_at(transaction.message.recent_blockhash, slot):
            return _refused("BlockhashNotFound"), {}
        return self.bank.simulate(transaction, self.slot, self.at_s)

    def airdrop(self, address: Pubkey, lamports: int) -> VersionedTransaction:
        """A transfer by the faucet, to be landed. Two in one slot differ by their compute limit."""
        self._airdrops += 1
        faucet = self.bank.faucet
        message = Message.new_with_blockhash(
            [
                set_compute_unit_limit(FAUCET_COMPUTE_UNITS + self._airdrops % 1_000_000),
                transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=address, lamports=lamports)),
            ],
            faucet.pubkey(),
            self.blockhashes.of(self.slot),
        )
        return VersionedTransaction(message, [faucet])

    def last_valid_height(self, slot: int) -> int:
        """The last block height that may hold a transaction with the blockhash of `slot`."""
        return slot + MAX_AGE

    def _begin(self, seed: bytes) -> None:
        self.seed, self.bank, self.blockhashes = seed, Bank(seed), Blockhashes(seed)

    def _again(self, record: Landed, made: str) -> None:
        transaction = VersionedTransaction.from_bytes(record.transaction)
        outcome = self.bank.execute(transaction, record.slot, record.at_s)
        signature = str(transaction.signatures[0])
        if (b"" if outcome.err is None else orjson.dumps(outcome.err)) != record.err:
            raise LocalnetError(
                f"{self.journal.path}: {signature} came to {record.err.decode() or 'success'} with solders {made} and "
                f"comes to {outcome.err or 'success'} with {version('solders')}; move the folder away to start anew"
            )
        self.ledger.add(signature, record.slot, record.at_s, transaction, outcome)
        self.bank.forget(record.slot)
        self.replayed += 1

    def _write_anchor(self, anchor: Anchor) -> None:
        self.journal.write(Anchored(anchor.slot, anchor.at_ms, anchor.slot_ms))

    def _slot_began(self) -> None:
        slot = self.slot
        self.blockhashes.advance(slot)
        self.bank.forget(slot)
        for _ in range(len(self._waiting)):
            due_slot, transaction = self._waiting.popleft()
            if due_slot <= slot:
                self.land(transaction)
            else:
                self._waiting.append((due_slot, transaction))
        for listener in self.on_slot:
            listener(slot)


def _refused(err: str) -> Outcome:
    return Outcome(err, None)
