"""Short histories of what seeded ones found once: each kept as it was when it failed."""

import pytest

from claim_api.ledger.steps import Step
from tests.integration.claims.histories.acts import (
    DAY_S,
    Act,
    AllLie,
    Arm,
    Ask,
    Clock,
    DatabaseCut,
    History,
    Replay,
    Reserve,
    Rounds,
    Trouble,
    ViewerPays,
)
from tests.integration.claims.histories.conftest import Staged
from tests.integration.claims.histories.play import played
from tests.integration.claims.histories.verdict import faults

ONE = Reserve((Ask(0, 0, None),))
DROPPED = (Trouble(0, "drop", 3), Trouble(1, "drop", 3))
KEPT: dict[str, tuple[Act, ...]] = {
    "a lease of a clock that went back a day": (Clock(DAY_S), ONE, Arm(Step.TAKEN), Rounds(1, 2), Clock(0)),
    "a sending of a clock that went back a day": (Clock(DAY_S), ONE, *DROPPED, Rounds(1, 2), Clock(0)),
    "a clock that went back before the wallets": (ONE, Clock(-DAY_S), Rounds(2, 2), Clock(0)),
    "a clock that jumps a day on after a lie": (
        ONE, Rounds(1, 1), AllLie(twice=True), Rounds(2, 2), Clock(DAY_S + 60), Rounds(2, 1), Replay(), Rounds(2, 2),
    ),
    "a node that invents what became of lost ones": (
        ONE, Trouble(0, "invents", 0), *DROPPED, Rounds(1, 2), Reserve((Ask(0, 1, None), Ask(1, 2, None))),
        Rounds(2, 2),
    ),
    "a viewer whose payment was given up, and landed": (
        ViewerPays(0, "broadcast"), AllLie(twice=True), Replay(), Rounds(1, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", KEPT)
async def test_kept(staged: Staged, what: str) -> None:
    assert faults(await played(staged, History(0, 1, 2, KEPT[what]))) == []


@pytest.mark.parametrize("turns", range(0, 60, 5))
async def test_the_database_goes_away_under_any_statement(staged: Staged, turns: int) -> None:
    made = History(turns, 1, 2, (ONE, DatabaseCut(turns), Rounds(1, 2), DatabaseCut(turns + 2), Rounds(1, 2)))
    assert faults(await played(staged, made)) == []
