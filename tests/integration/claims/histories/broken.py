"""Processes that are broken on purpose, one thing each, to see whether the verdict notices: by name, what
is patched in the modules or done to the database."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from solders.instruction import Instruction
from solders.system_program import TransferParams, transfer

from claim_api.ledger import reserve
from claim_api.ledger.moves import Moves, NewAttempt
from claim_api.ledger.sql import sql
from claim_api.ledger.steps import Step
from claim_api.payer.intake import Intake
from claim_api.payer.watch import Watch
from claim_api.signer import books as bookkeeping
from claim_api.signer import service
from claim_api.signer.earlier import Earlier, Fate
from streams.chain import payment, terms
from tests.integration.claims.histories import acts
from tests.integration.claims.histories.acts import Act, History
from tests.integration.claims.histories.play import NOTHING

MARKER_AT: Final = 2


async def _all_dead(_: Any, attempts: Any, *_more: Any) -> dict[int, Earlier]:
    return {claim_id: Earlier(one.attempt, Fate.DEAD) for claim_id, one in attempts.items()}


def no_look(patch: pytest.MonkeyPatch) -> None:
    """The signer signs again without looking whether the earlier attempt is dead."""
    patch.setattr(service, "fates", _all_dead)


def no_marker(patch: pytest.MonkeyPatch) -> None:
    """The transaction makes no marker account; in its place a lamport goes from the fee payer to itself."""
    whole = terms.instructions

    def without(wanted: terms.Terms) -> list[Instruction]:
        made, own = whole(wanted), wanted.fee_payer
        made[MARKER_AT] = transfer(TransferParams(from_pubkey=own, to_pubkey=own, lamports=1))
        return made

    patch.setattr(terms, "instructions", without)
    patch.setattr(payment, "instructions", without)


def one_look(patch: pytest.MonkeyPatch) -> None:
    """The payer gives an attempt up at the first look that finds it dead."""
    patch.setattr(Watch, "_twice", lambda *_: True)


def no_unique_key(patch: pytest.MonkeyPatch) -> None:
    """Reserving goes by what it read, without the lock and without the key."""
    real = sql
    patch.setattr(reserve, "sql", lambda name: "select $1::bigint" if name == "lock_viewer" else real(name))


def store_after_send(patch: pytest.MonkeyPatch) -> None:
    """The payer sends first, and stores what it sent."""
    real_store = Moves.store
    real_step = Intake.step

    async def step(self: Any) -> int:
        moves = self._moves
        kept: list[NewAttempt] = []

        class Later:
            async def store(self, attempts: list[NewAttempt]) -> set[int]:
                kept.extend(attempts)
                return {one.claim_id for one in attempts}

            def __getattr__(self, name: str) -> Any:
                return getattr(moves, name)

        self._moves = Later()
        try:
            taken = await real_step(self)
        finally:
            self._moves = moves
        await real_store(moves, kept)
        return taken

    patch.setattr(Intake, "step", step)


def no_cap(patch: pytest.MonkeyPatch) -> None:
    """The signer does not count."""
    patch.setattr(service, "within_cap", lambda _claim, _facts, _switches, sum_base_units: sum_base_units)


def no_books(patch: pytest.MonkeyPatch) -> None:
    """The signer signs and writes nothing down."""

    async def write(*_: Any) -> None:
        return None

    patch.setattr(bookkeeping, "write", write)


def frozen_is_nothing(patch: pytest.MonkeyPatch) -> None:
    """The signer does not look at the switch."""
    real = bookkeeping.read_switches

    async def read(connection: Any) -> Any:
        return replace(await real(connection), frozen_because=None)

    patch.setattr(bookkeeping, "read_switches", read)


@dataclass(frozen=True)
class Broken:
    """words: of a fault that it leads to, any of them; needs: acts without which nobody could notice, any of them;
    payers: of the histories, one where a second one would mend it at once; sql: done to the database before, and
    undone after."""

    patch: Callable[[pytest.MonkeyPatch], None]
    words: tuple[str, ...]
    sql: str = NOTHING
    undo: str = NOTHING
    needs: tuple[type | Act, ...] = ()
    payers: int = 2

    def may_show_in(self, history: History) -> bool:
        """Whether the history has what it needs."""
        kinds = {type(act) for act in history.acts}
        return not self.needs or any(one in kinds or one in history.acts for one in self.needs)


KEY: Final = "claims.claim_allocations"
BROKEN: Final[dict[str, Broken]] = {
    "no look before signing again": Broken(no_look, ("could land until", "was paid 2 times")),
    "no marker": Broken(no_marker, ("was paid 2 times", "supply:"), needs=(acts.AllLie,)),
    "given up at the first look": Broken(one_look, ("was given up, and landed",), needs=(acts.AllLie,)),
    "no unique key": Broken(
        no_unique_key,
        ("stands in",),
        f"alter table {KEY} drop constraint claim_allocations_pkey",
        f"truncate {KEY}; alter table {KEY} add primary key (viewer_key, channel, epoch_start_s, revision)",
    ),
    "stored after it was sent": Broken(
        store_after_send,
        ("is held", "supply:", "still"),
        needs=(acts.Arm(Step.SENT), acts.Arm(Step.NOTED)),
        payers=1,
    ),
    "no cap": Broken(no_cap, ("base units are signed for on",), needs=(acts.Cap,)),
    "no books": Broken(no_books, ("books do not have it",)),
    "the switch is not looked at": Broken(frozen_is_nothing, ("while signing was frozen",), needs=(acts.Freeze,)),
}
