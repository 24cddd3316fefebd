"""Reserving: each allocation once and for ever, whoever asks at the same time; a refusal says what is against it."""

import asyncio

import pytest
from solders.keypair import Keypair

from claim_api.ledger.errors import ClaimRefused, Refusal
from claim_api.ledger.operate import freeze
from claim_api.ledger.read import claim_of_viewer, claims_of_viewer, states_of_allocations, totals_of_viewer
from claim_api.ledger.reserve import Limits, Wanted
from claim_api.ledger.rows import AllocationKey, Claim
from tests.claims_world import ClaimsWorld
from tests.seals import CHANNEL, T0_S, seal_of, viewers


async def refused(
    world: ClaimsWorld, wanted: Wanted = "all", viewer: int = 7, limits: Limits | None = None
) -> ClaimRefused:
    with pytest.raises(ClaimRefused) as caught:
        await world.reserve(viewer, wanted, limits=limits)
    return caught.value


async def test_all_takes_everything_once(claims: ClaimsWorld) -> None:
    await claims.hours(7, 8, count=3)
    await claims.bind(7)
    claim = await claims.reserve(7)
    assert [one.epoch_start_s for one in claim.allocations] == [T0_S, T0_S + 3600, T0_S + 7200]
    assert sum(one.amount_base_units for one in claim.allocations) == claim.amount_base_units
    assert (await refused(claims)).code is Refusal.NOTHING_TO_CLAIM


async def test_sixty_four_at_once_reserve_once(claims: ClaimsWorld) -> None:
    await claims.hours(7, count=2)
    await claims.bind(7)
    key = AllocationKey(CHANNEL, T0_S, 0)

    async def one(wanted: Wanted) -> Claim | ClaimRefused:
        try:
            return await claims.reserve(7, wanted)
        except ClaimRefused as refusal:
            return refusal

    found = await asyncio.gather(*(one("all" if n % 2 else [key]) for n in range(64)))
    made = [one for one in found if isinstance(one, Claim)]
    paid = [(each.epoch_start_s, each.revision) for one in made for each in one.allocations]
    assert sorted(paid) == [(T0_S, 0), (T0_S + 3600, 0)]
    codes = {one.code for one in found if isinstance(one, ClaimRefused)}
    assert codes <= {Refusal.NOTHING_TO_CLAIM, Refusal.ALREADY_CLAIMED}
    assert await claims.owner.fetchval("select count(*) from claims.claims") == len(made)


async def test_the_key_alone_stops_a_second_reservation(claims: ClaimsWorld) -> None:
    """Without the lock on the viewer: two transactions side by side."""
    await claims.viewer_with_claim()
    async with claims.web.acquire() as connection:
        statement = "insert into claims.claim_allocations values (7, $1, $2, 0, 1, 1, 1)"
        with pytest.raises(Exception, match="duplicate key"):
            await connection.execute(statement, CHANNEL, T0_S)


async def test_a_revision_pays_its_increase(claims: ClaimsWorld) -> None:
    await claims.seal(seal_of(viewers(7), messages=[10]))
    await claims.bind(7)
    first = await claims.reserve(7)
    await claims.seal(seal_of(viewers(7), messages=[30], revision=1))
    second = await claims.reserve(7)
    assert [(one.epoch_start_s, one.revision) for one in second.allocations] == [(T0_S, 1)]
    whole = await claims.owner.fetchval("select sum(increase_base_units) from viewer_epochs where viewer_key = 7")
    assert first.amount_base_units + second.amount_base_units == whole
    assert second.amount_base_units == 20 * 800_000_000


async def test_every_refusal_says_what(claims: ClaimsWorld) -> None:
    key = AllocationKey(CHANNEL, T0_S, 0)
    await claims.hours(7)
    assert (await refused(claims)).code is Refusal.NO_WALLET
    await claims.bind(7)
    never = AllocationKey("twitch:id:999", T0_S, 0)
    refusal = await refused(claims, [never])
    assert refusal.code is Refusal.NO_ALLOCATION and "twitch:id:999" in refusal.message
    assert (await refused(claims, [])).code is Refusal.NOTHING_TO_CLAIM
    assert (await refused(claims, limits=Limits(minimum_base_units=10**18))).code is Refusal.BELOW_MINIMUM
    assert (await refused(claims, [key, never], limits=Limits(allocations=1))).code is Refusal.TOO_LARGE
    await freeze(claims.owner, "audit")
    refusal = await refused(claims)
    assert refusal.code is Refusal.FROZEN and "audit" in refusal.message
    await freeze(claims.owner, None)
    claim = await claims.reserve(7, [key])
    refusal = await refused(claims, [key])
    assert refusal.code is Refusal.ALREADY_CLAIMED and str(claim.claim_id) in refusal.message


async def test_another_viewers_allocation_is_none_of_mine(claims: ClaimsWorld) -> None:
    await claims.seal(seal_of(viewers(8)))
    await claims.bind(7)
    assert (await refused(claims, [AllocationKey(CHANNEL, T0_S, 0)])).code is Refusal.NO_ALLOCATION


async def test_a_wallet_that_waits_is_not_in_force(claims: ClaimsWorld) -> None:
    await claims.hours(7)
    first = await claims.bind(7)
    await claims.bind(7, Keypair())
    claim = await claims.reserve(7)
    assert claim.wallet == str(first.pubkey())


async def test_daily_limits_hold_for_viewer_and_wallet(claims: ClaimsWorld) -> None:
    await claims.hours(7, 8, count=2)
    shared = await claims.bind(7)
    await claims.bind(8, shared)
    one_hour = 101 * 800_000_000
    limits = Limits(viewer_day_base_units=one_hour)
    await claims.reserve(7, [AllocationKey(CHANNEL, T0_S, 0)], limits=limits)
    refusal = await refused(claims, limits=limits)
    left_s = "extract(epoch from date_trunc('day', now(), 'UTC') + interval '1 day' - now())"
    midnight_s = await claims.owner.fetchval(f"select {left_s}::float8")
    assert refusal.code is Refusal.OVER_LIMIT and refusal.retry_after_s is not None
    assert 0 < refusal.retry_after_s <= 86_400 and (refusal.retry_after_s - midnight_s) % 86_400 < 30
    await claims.reserve(8, [AllocationKey(CHANNEL, T0_S, 0)], limits=limits)
    refusal = await refused(claims, viewer=8, limits=Limits(wallet_day_base_units=2 * one_hour))
    assert refusal.code is Refusal.OVER_LIMIT and str(shared.pubkey()) in refusal.message


async def test_a_stopped_channel_waits(claims: ClaimsWorld) -> None:
    await claims.hours(7)
    await claims.bind(7)
    await claims.owner.execute("insert into stopped_channels values ($1, $2, 0, '', '', 0, 0)", CHANNEL, T0_S)
    assert (await refused(claims)).code is Refusal.NOTHING_TO_CLAIM
    refusal = await refused(claims, [AllocationKey(CHANNEL, T0_S, 0)])
    assert refusal.code is Refusal.NO_ALLOCATION and "ruling" in refusal.message
    totals = await totals_of_viewer(claims.owner, 7)
    assert totals.entitled_base_units > 0 == totals.claimable_base_units


async def test_totals_and_states_follow_the_claim(claims: ClaimsWorld) -> None:
    await claims.hours(7, count=2)
    await claims.bind(7)
    first, second = AllocationKey(CHANNEL, T0_S, 0), AllocationKey(CHANNEL, T0_S + 3600, 0)
    claim = await claims.reserve(7, [first])
    totals = await totals_of_viewer(claims.web, 7)
    half = claim.amount_base_units
    assert (totals.entitled_base_units, totals.pending_base_units, totals.claimable_base_units) == (
        2 * half,
        half,
        half,
    )
    await claims.payer().until_confirmed(claim)
    totals = await totals_of_viewer(claims.web, 7)
    assert (totals.claimed_base_units, totals.pending_base_units) == (half, 0)
    states = await states_of_allocations(claims.web, 7, [first, second])
    assert (states[first].state, states[first].claim_id) == ("claimed", claim.claim_id)
    assert (states[second].state, states[second].claim_id) == ("claimable", None)


async def test_a_viewer_sees_own_claims_only(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim(7)
    assert await claim_of_viewer(claims.web, 7, claim.claim_id) == claim
    assert await claim_of_viewer(claims.web, 8, claim.claim_id) is None
    assert await claims_of_viewer(claims.web, 7) == [claim]
    assert await claims_of_viewer(claims.web, 7, before_id=claim.claim_id) == []
    assert await claims_of_viewer(claims.web, 8) == []
