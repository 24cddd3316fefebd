"""Each thing that may not be is a fault, one at a time; a history without any is none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from claim_api.ledger.rows import Totals
from tests.integration.claims.histories.acts import History, Rebind
from tests.integration.claims.histories.evidence import Evidence, Landed, Signed
from tests.integration.claims.histories.verdict import faults

KEY = (100, "twitch:id:1", 3600, 0)
CLAIM: dict[str, Any] = {
    "claim_id": 1, "viewer_key": 100, "wallet": "W", "amount_base_units": 8, "allocated": 8, "fee": "server",
    "state": "confirmed", "signature": "S", "held_because": None, "attempts": 1,
}  # fmt: skip
GOOD = Evidence(
    history=History(0, 1, 2, ()),
    starting_supply=5,
    supply=13,
    claims=[CLAIM],
    allocations=[(KEY, 1)],
    totals={100: Totals(entitled_base_units=8, claimed_base_units=8, pending_base_units=0, claimable_base_units=0)},
    balances={"W": 8},
    landed=[Landed("S", 10, b"m", {"W": 8})],
    failed=frozenset(),
    booked=[Signed(1, 1, b"m", 5, 155)],
    given_up=[],
)
Spoil = Callable[[Evidence], Evidence]


def held(because: str, *done: Any) -> Evidence:
    return replace(
        GOOD,
        history=History(0, 1, 2, done),
        supply=5,
        claims=[{**CLAIM, "state": "held", "held_because": because}],
        balances={"W": 0},
        landed=[],
    )


SPOILT: dict[str, tuple[Spoil, str]] = {
    "more on the chain": (lambda one: replace(one, supply=21), "supply: 21"),
    "no transaction": (lambda one: replace(one, landed=[]), "paid nobody"),
    "another amount": (lambda one: replace(one, landed=[Landed("S", 10, b"m", {"W": 9})]), "the chain says"),
    "another wallet": (lambda one: replace(one, landed=[Landed("S", 10, b"m", {"X": 8})]), "the chain says"),
    "a wallet with more": (lambda one: replace(one, balances={"W": 16}), "wallet W holds 16"),
    "an allocation in two claims": (lambda one: replace(one, allocations=[(KEY, 1), (KEY, 2)]), "stands in 2 claims"),
    "a claim of another sum": (lambda one: replace(one, claims=[{**CLAIM, "allocated": 7}]), "allocations are 7"),
    "totals": (
        lambda one: replace(one, totals={100: Totals(8, 8, 1, 0)}),
        "does not add up",
    ),
    "not in the books": (lambda one: replace(one, booked=[]), "books do not have it"),
    "paid twice": (
        lambda one: replace(one, landed=[*one.landed, Landed("T", 11, b"n", {"W": 8})],
                            booked=[*one.booked, Signed(1, 2, b"n", 400, 550)]),
        "paid 2 times",
    ),
    "two alive": (lambda one: replace(one, booked=[*one.booked, Signed(1, 2, b"n", 155, 300)]), "could land until 155"),
    "given up, and landed": (lambda one: replace(one, given_up=[(1, 1)]), "was given up, and landed"),
    "signed while frozen": (lambda one: replace(one, signed_while_frozen=1), "while signing was frozen"),
    "over the cap": (lambda one: replace(one, over_cap=["9 of 8"]), "9 of 8"),
    "a day's sum": (lambda one: replace(one, days_apart=["2026-01-01"]), "sum of 2026-01-01 is not that"),
    "never ended": (lambda one: replace(held("x"), claims=[{**CLAIM, "state": "signed"}]), "still signed"),
    "held for nothing": (lambda one: held("wallet_not_in_force: W"), "nothing explains it"),
}  # fmt: skip


def test_a_good_end_has_no_fault() -> None:
    assert faults(GOOD) == []
    assert faults(held("wallet_not_in_force: W", Rebind(0))) == []
    assert faults(replace(GOOD, booked=[*GOOD.booked, Signed(1, 2, b"n", 156, 306)])) == []


@pytest.mark.parametrize("what", SPOILT)
def test_each_is_found(what: str) -> None:
    spoil, words = SPOILT[what]
    assert words in " ".join(faults(spoil(GOOD)))
