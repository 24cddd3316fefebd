"""The original's INSUFFICIENT_FUNDS, for the causes that it has here: a poor fee payer, an empty treasury."""

from pathlib import Path

import pytest

from claim_api.original.pages import Offered
from tests.claims_site import claims_site
from tests.claims_world import ClaimsWorld, claims_world
from tests.integration.claim_api.earned.test_original import claim_of, is_error, paid
from tests.purses import fill, leave_lamports

RENT_OF_NOTHING = 890_880
"""Lamports that an account of no data must hold: the fee payer's own, and a marker's."""


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.claim_parts.Offered", lambda **given: Offered(**given, wait_s=0.2))


@pytest.mark.parametrize("left", [RENT_OF_NOTHING, 2 * RENT_OF_NOTHING + 100_000])
async def test_a_fee_payer_that_is_poor_is_named_until_it_has_some(
    claims: ClaimsWorld, tmp_path: Path, left: int
) -> None:
    """left: too little for the fee; too little for the rent of the wallet's token account."""
    async with claims_site(claims, tmp_path) as site:
        browser, body = await claim_of(site, 7)
        await leave_lamports(claims, left)
        is_error(await browser.post("/api/claim", body), 500, "RPC_ERROR")  # no payer has tried

        async def refused() -> bool:
            return bool(await claims.owner.fetchval("select count(*) > 0 from claims.attempts where error is not null"))

        await site.payer.until(refused)
        said = await browser.post("/api/claim", body)
        is_error(said, 500, "INSUFFICIENT_FUNDS")
        assert await claims.owner.fetchval("select state from claims.claims") in ("reserved", "signed"), "not held"
        chain = claims.localnet.chain
        assert chain.land(chain.airdrop(claims.fee_payer.pubkey(), 10**9)) is not None
        await paid(site)
        is_error(await browser.post("/api/claim", body), 400, "ALREADY_CLAIMED")


async def test_an_empty_treasury_is_named(pg_dsn: str, tmp_path: Path) -> None:
    async with claims_world(pg_dsn, tmp_path, source="treasury") as world, claims_site(world, tmp_path) as site:
        await fill(world, 1)
        browser, body = await claim_of(site, 7)
        is_error(await browser.post("/api/claim", body), 500, "RPC_ERROR")
        await paid(site)
        said = await browser.post("/api/claim", body)
        is_error(said, 500, "INSUFFICIENT_FUNDS")
        assert "operator" in said.json["mend"]
