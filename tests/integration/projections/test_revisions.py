"""A revision adds its increase to what was allocated, takes nothing away, and says what it would have taken."""

from typing import Any

import pytest

from projections import read
from projections.metrics import ProjectionMetrics
from projections.sealed import SealedProjection
from schemas.policy import DEFAULT_POLICY
from schemas.sealed import encode_body
from tests.integration.projections.conftest import CatchUp
from tests.integration.projections.test_sealed import count
from tests.seals import CHANNEL, T0_S, SaidLog, seal_of, viewers

RATE = DEFAULT_POLICY.base_units_per_centi


@pytest.fixture
def sealed(metrics: ProjectionMetrics) -> SealedProjection:
    return SealedProjection(metrics)


async def test_a_revision_adds_the_increase_only(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, metrics: ProjectionMetrics
) -> None:
    await log.say(
        seal_of(viewers(1, 2, 3), messages=[1, 5, 10]),
        seal_of(viewers(1, 2, 4), messages=[4, 5, 7], revision=1, closed_by="reseal"),
        seal_of(viewers(1, 2, 3, 4), messages=[4, 3, 12, 7], revision=2, closed_by="reseal"),
    )
    await catch_up(sealed)
    claims = {
        who: [(one.revision, one.amount_base_units // RATE) for one in await read.allocations(db, f"twitch:id:{who}")]
        for who in (1, 2, 3, 4)
    }
    assert claims == {1: [(0, 101), (1, 3)], 2: [(0, 105)], 3: [(0, 110), (2, 2)], 4: [(1, 107)]}
    assert await read.entitlement_base_units(db, "twitch:id:3") == 112 * RATE
    # What revision 1 lacked of viewer 3, and revision 2 of viewer 2, is written down and not taken away.
    short = await db.fetch("select viewer_key, shortfall_base_units from allocation_shortfalls order by viewer_key")
    assert [(row[0], int(row[1]) // RATE) for row in short] == [(2, 2), (3, 110)]
    assert [alarm.kind for alarm in await read.alarms(db)] == ["allocation_shortfall"] * 2
    assert count(metrics, "shortfalls") == 2
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.revision == 2
    assert [one.revision for one in await read.revisions(db, CHANNEL, T0_S)] == [0, 1, 2]


async def test_a_revision_adds_to_what_was_allocated_whatever_became_of_the_stored_leaves(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    await log.say(seal_of(viewers(1, 2), messages=[1, 5]))
    await catch_up(sealed)
    for revision, body in enumerate((b"rotten", encode_body(seal_of(viewers(7, 8)).body)), 1):
        await db.execute("update sealed_epochs set body = $1", body)
        said = seal_of(viewers(1, 2), messages=[1 + revision, 5], revision=revision, closed_by="reseal")
        await log.say(said)
        await catch_up(sealed)
    assert [one.amount_base_units // RATE for one in await read.allocations(db, "twitch:id:1")] == [101, 1, 1]
    assert [one.amount_base_units // RATE for one in await read.allocations(db, "twitch:id:2")] == [105]
    assert await read.alarms(db) == []


@pytest.mark.parametrize("in_one_step", [True, False])
async def test_a_revision_without_participants_takes_nothing_away_and_says_what_it_lacks(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, in_one_step: bool
) -> None:
    await log.say(seal_of(viewers(1, 2)))
    if not in_one_step:
        await catch_up(sealed)
    await log.say(seal_of([], revision=1, closed_by="reseal"))
    await catch_up(sealed)
    short = await db.fetch("select viewer_key, shortfall_base_units from allocation_shortfalls order by viewer_key")
    assert [(row[0], int(row[1]) // RATE) for row in short] == [(1, 101), (2, 101)]
    assert await read.entitlement_base_units(db, "twitch:id:1") == 101 * RATE


async def test_a_revision_that_comes_before_the_first_gives_what_both_give_at_most(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    await log.say(seal_of(viewers(1, 2), messages=[9, 2], revision=1, closed_by="reseal"))
    await catch_up(sealed)
    await log.say(seal_of(viewers(1, 3), messages=[4, 3]))
    await catch_up(sealed)
    claims = {
        who: [(one.revision, one.amount_base_units // RATE) for one in await read.allocations(db, f"twitch:id:{who}")]
        for who in (1, 2, 3)
    }
    assert claims == {1: [(1, 109)], 2: [(1, 102)], 3: [(0, 103)]}
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.revision == 1
