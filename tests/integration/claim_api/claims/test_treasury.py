"""Claims out of the treasury: the authority's own account pays, nothing is minted; when it is empty, claims wait."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.claims_world import ClaimsWorld, claims_world, reconciled
from tests.purses import fill, treasury

VIEWERS = (7, 8, 9)


@pytest.fixture
async def claims(pg_dsn: str, tmp_path: Path) -> AsyncIterator[ClaimsWorld]:
    async with claims_world(pg_dsn, tmp_path, source="treasury") as world:
        yield world


async def test_the_treasury_pays_and_the_supply_stays(claims: ClaimsWorld) -> None:
    await fill(claims, 10**15)
    supply = await claims.chain.supply_base_units(str(claims.mint))
    await claims.hours(*VIEWERS)
    for viewer_key in VIEWERS:
        await claims.bind(viewer_key)
    made = [await claims.reserve(viewer_key) for viewer_key in VIEWERS]
    await claims.payer().until_confirmed(*made)
    assert [claims.paid(viewer_key) for viewer_key in VIEWERS] == [one.amount_base_units for one in made]
    assert treasury(claims) == 10**15 - sum(one.amount_base_units for one in made)
    assert await claims.chain.supply_base_units(str(claims.mint)) == supply
    assert await reconciled(claims) == []


async def test_an_empty_treasury_holds_the_claim_until_it_is_filled(claims: ClaimsWorld) -> None:
    await fill(claims, 1)
    claim = await claims.viewer_with_claim(7)
    payer = claims.payer()

    async def held() -> bool:
        return await claims.state(claim) == "held"

    await payer.until(held)
    assert "refused_by_chain" in str(await claims.held_because(claim))
    assert treasury(claims) == 1
    await fill(claims, 10**15)
    await claims.retry(claim)
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert await reconciled(claims) == []
