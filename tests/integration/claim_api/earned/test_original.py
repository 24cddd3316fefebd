"""The original's documented calls, played against the served API: same paths, codes and shapes."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from claim_api.limits import RATES, Rate
from claim_api.original.pages import Offered
from tests.claims_site import Asker, ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.seals import CHANNEL, T0_S

ERROR_FIELDS = {"success", "error", "code", "message", "mend"}
HOUR = {"epoch": T0_S, "channel": "forsen"}


def is_error(said: Any, status: int, code: str) -> None:
    assert (said.status, said.json["error"]) == (status, code), said.json
    assert set(said.json) == ERROR_FIELDS
    assert said.json["success"] is False and said.json["code"] == code and said.json["mend"]


async def eligibility(asker: Asker, channel: str = "forsen", epoch: int = T0_S) -> Any:
    return await asker.get(f"/api/eligibility?epoch={epoch}&channel={channel}")


async def claim_of(site: ClaimsSite, viewer: int) -> tuple[Asker, dict[str, Any]]:
    """A viewer with an hour and a wallet, and what they post."""
    await site.world.hours(viewer)
    wallet = await site.world.bind(viewer)
    return await site.browser(viewer), {**HOUR, "wallet": str(wallet.pubkey())}


async def paid(site: ClaimsSite) -> None:
    """The payer works until nothing is reserved or signed."""

    async def done() -> bool:
        return bool(
            await site.world.owner.fetchval(
                "select count(*) > 0 and bool_and(state in ('confirmed', 'held')) from claims.claims"
            )
        )

    await site.payer.until(done)


async def post_and_pay(site: ClaimsSite, asker: Asker, body: dict[str, Any]) -> Any:
    """The request waits while the payer works."""
    asked = asyncio.create_task(asker.post_without_token("/api/claim", body))
    await paid(site)
    return await asked


async def test_eligibility_before_pending_and_after(site: ClaimsSite) -> None:
    browser, body = await claim_of(site, 7)
    shape = {
        "eligible": True,
        "username": "n7",
        "channel": "forsen",
        "epoch": T0_S,
        "amount": "80800000000",
        "claimed": False,
        "reason": None,
    }
    assert (await eligibility(browser)).json == shape
    assert (await eligibility(browser, CHANNEL)).json == {**shape, "channel": CHANNEL}
    assert (await eligibility(browser, "FORSEN")).json == shape
    await post_and_pay(site, browser, body)
    after = {**shape, "eligible": False, "claimed": True, "reason": "ALREADY_CLAIMED"}
    assert (await eligibility(browser)).json == after
    nothing = {**shape, "eligible": False, "amount": "0", "reason": "NO_ALLOCATION", "epoch": T0_S + 3600}
    assert (await eligibility(browser, epoch=T0_S + 3600)).json == nothing
    assert (await eligibility(browser, "nobody")).json["reason"] == "NO_ALLOCATION"


async def test_a_claim_answers_with_its_receipt(site: ClaimsSite) -> None:
    browser, body = await claim_of(site, 7)
    said = await post_and_pay(site, browser, body)
    assert said.status == 200
    assert set(said.json) == {"success", "receipt"} and said.json["success"] is True
    receipt = said.json["receipt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", receipt.pop("claimed_at"))
    landed = await site.world.chain.transaction(receipt.pop("signature"))
    assert landed is not None and landed.error is None
    assert receipt == {**HOUR, "username": "n7", "amount": "80800000000", "wallet": body["wallet"]}
    assert site.world.paid(7) == 80_800_000_000
    is_error(await browser.post("/api/claim", body), 400, "ALREADY_CLAIMED")
    assert site.world.paid(7) == 80_800_000_000


async def test_eight_at_once_wait_for_one_claim(site: ClaimsSite) -> None:
    browser, body = await claim_of(site, 7)
    asked = [asyncio.create_task(browser.post("/api/claim", body)) for _ in range(8)]
    await paid(site)
    said = await asyncio.gather(*asked)
    # Whoever came after the confirmation hears that; nobody is paid twice.
    receipts = [one.json["receipt"]["signature"] for one in said if one.status == 200]
    assert len(set(receipts)) == 1
    for one in said:
        if one.status != 200:
            is_error(one, 400, "ALREADY_CLAIMED")
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 1
    assert site.world.paid(7) == 80_800_000_000


async def test_a_claim_that_is_under_way_is_joined(site: ClaimsSite) -> None:
    browser, body = await claim_of(site, 7)
    claim = await site.world.reserve(7)
    said = await post_and_pay(site, browser, body)
    assert said.json["receipt"]["amount"] == str(claim.amount_base_units)
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 1


async def test_a_daily_limit_is_a_rate_limit(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, claim_viewer_day_base_units=1) as site:
        browser, body = await claim_of(site, 7)
        said = await browser.post("/api/claim", body)
        is_error(said, 429, "RATE_LIMIT")
        assert 0 < int(said.headers["retry-after"]) <= 86_400
        said = await browser.post("/v1/claims", {"allocations": "all"})
        assert (said.status, said.json["code"]) == (429, "over_limit")
        assert 0 < int(said.headers["retry-after"]) <= 86_400


async def test_every_400_401_and_429(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, rates={**RATES, "change": Rate(8, 1)}) as site:
        browser, body = await claim_of(site, 7)
        is_error(await site.stranger.post("/api/claim", body), 401, "AUTH_REQUIRED")
        is_error(await eligibility(site.stranger), 401, "AUTH_REQUIRED")
        is_error(await browser.get(f"/api/eligibility?epoch={T0_S}"), 400, "MISSING_FIELDS")
        for missing in body:
            is_error(
                await browser.post("/api/claim", {k: v for k, v in body.items() if k != missing}), 400, "MISSING_FIELDS"
            )
        is_error(await browser.post("/api/claim", {**body, "wallet": "0x12"}), 400, "INVALID_WALLET")
        is_error(await browser.post("/api/claim", {**body, "wallet": str(claims.mint)}), 400, "INVALID_WALLET")
        is_error(await browser.post("/api/claim", {**body, "channel": "nobody"}), 400, "NO_ALLOCATION")
        is_error(await browser.post("/api/claim", {**body, "epoch": T0_S + 3600}), 400, "NO_ALLOCATION")
        is_error(await browser.post("/api/claim", {**body, "epoch": "soon"}), 400, "MISSING_FIELDS")
        is_error(await browser.post("/api/claim", body), 429, "RATE_LIMIT")
        foreign = await (await site.browser(8)).post("/api/claim", body, origin="https://elsewhere.example")
        is_error(foreign, 403, "CSRF")


async def test_every_500(claims: ClaimsWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.claim_parts.Offered", lambda **given: Offered(**given, wait_s=0.2))
    async with claims_site(claims, tmp_path) as site:
        browser, body = await claim_of(site, 7)
        is_error(await browser.post("/api/claim", body), 500, "RPC_ERROR")  # no payer works
        await claims.owner.execute("update claims.claims set state = 'held', held_because = 'wrong_answer: x'")
        is_error(await browser.post("/api/claim", body), 500, "MINT_FAILED")
    async with claims_site(claims, tmp_path / "no-mint", mint="") as site:
        is_error(await (await site.browser(7)).post("/api/claim", body), 500, "MINT_NOT_FOUND")


async def test_where_viewers_pay_the_page_is_named(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, claim_fee="viewer") as site:
        browser, body = await claim_of(site, 7)
        is_error(await browser.post("/api/claim", body), 409, "FEE_NOT_OFFERED")


async def test_debug_is_off_unless_wanted(claims: ClaimsWorld, tmp_path: Path) -> None:
    path = f"/api/debug/claim?epoch={T0_S}&channel=forsen"
    async with claims_site(claims, tmp_path) as site:
        assert (await (await site.browser(7)).get(path)).status == 404
    async with claims_site(claims, tmp_path, enable_debug="on") as site:
        browser, _ = await claim_of(site, 7)
        claim = await site.world.reserve(7)
        assert (await browser.get(path)).json["allocations"] == [
            {"revision": 0, "claim_id": claim.claim_id, "state": "reserved"}
        ]
        is_error(await site.stranger.get(path), 401, "AUTH_REQUIRED")


async def test_health_answers(site: ClaimsSite) -> None:
    assert (await site.stranger.get("/health")).json["status"] in ("ready", "degraded")


async def test_a_foreign_page_claims_nothing_for_a_viewer(site: ClaimsSite) -> None:
    browser, body = await claim_of(site, 7)
    for header in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        said = await browser.post_without_token("/api/claim", body, **header)
        is_error(said, 403, "CSRF")
    # What a page may send without asking is a form or plain text.
    said = await browser.post_without_token("/api/claim", body, **{"content-type": "text/plain"})
    is_error(said, 400, "MISSING_FIELDS")
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 0
