"""A Solana Action from its rules to the chain, as a client that knows nothing of us plays it."""

from base64 import b64decode
from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from claim_api.ledger.operate import freeze
from claim_api.limits import RATES, Rate
from streams.chain import signing
from tests.claims_site import ClaimsSite, Said, claims_site
from tests.claims_world import ClaimsWorld

PATH = "/v1/actions/claim"


def is_for_all(said: Said) -> None:
    assert said.headers["access-control-allow-origin"] == "*"
    assert {"GET", "POST", "OPTIONS"} <= set(said.headers["access-control-allow-methods"].split(","))
    assert "Content-Type" in said.headers["access-control-allow-headers"]
    assert said.headers["x-action-version"] == "2.4"
    assert said.headers["x-blockchain-ids"] == "solana:localnet"
    assert "X-Action-Version" in said.headers["access-control-expose-headers"]


def give_lamports(site: ClaimsSite, wallet: Keypair) -> None:
    chain = site.world.localnet.chain
    chain.land(chain.airdrop(wallet.pubkey(), 10**9))
    site.world.slots(4)


async def test_rules_lead_to_an_offer_whose_link_gives_a_transaction(site: ClaimsSite) -> None:
    await site.world.hours(7, count=3)
    wallet = await site.world.bind(7)
    rules = await site.stranger.get("/actions.json")
    is_for_all(rules)
    assert {"pathPattern": "/claim", "apiPath": PATH} in rules.json["rules"]
    is_for_all(await site.stranger.options("/actions.json"))
    is_for_all(await site.stranger.options(PATH))
    offer = await site.stranger.get(PATH)
    is_for_all(offer)
    assert offer.json["type"] == "action"
    assert all(offer.json[field] for field in ("icon", "title", "description", "label"))
    icon = await site.stranger.get(offer.json["icon"].removeprefix(site.base))
    assert icon.headers["content-type"] == "image/svg+xml"
    [link] = offer.json["links"]["actions"]
    assert link["type"] == "transaction"
    given = await site.stranger.post(link["href"].removeprefix(site.base), {"account": str(wallet.pubkey())})
    is_for_all(given)
    assert given.json["type"] == "transaction" and "242.4 CHAT" in given.json["message"]
    give_lamports(site, wallet)
    assert await site.world.chain.send(signing.sign(b64decode(given.json["transaction"]), wallet)) is None

    async def confirmed() -> bool:
        return bool(await site.world.owner.fetchval("select bool_and(state = 'confirmed') from claims.claims"))

    await site.payer.until(confirmed)
    assert site.world.paid(7) == 242_400_000_000


async def test_asked_again_it_gives_the_same_transaction(site: ClaimsSite) -> None:
    await site.world.hours(7)
    wallet = await site.world.bind(7)
    first, second = [(await site.stranger.post(PATH, {"account": str(wallet.pubkey())})).json for _ in range(2)]
    assert first == second
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 1


async def test_who_has_nothing_is_told_so_without_a_name(site: ClaimsSite) -> None:
    await site.world.hours(7)
    wallet = await site.world.bind(7)
    await site.payer.until_confirmed(await site.world.reserve(7))
    nothing = await refused(site, str(wallet.pubkey()), 409, "nothing_to_claim")
    assert "7" not in nothing["message"]
    await refused(site, str(Keypair().pubkey()), 409, "no_wallet")
    await refused(site, "0x12", 400, "invalid_wallet")


async def refused(site: ClaimsSite, account: str, status: int, code: str) -> Any:
    said = await site.stranger.post(PATH, {"account": account})
    is_for_all(said)
    assert (said.status, said.json["code"]) == (status, code)
    return said.json


async def test_frozen_claims_and_limits_hold_here_too(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, rates={**RATES, "wallet": Rate(1, 1)}) as site:
        await claims.hours(7)
        wallet = await claims.bind(7)
        await freeze(claims.owner, "a look at the books")
        await refused(site, str(wallet.pubkey()), 503, "frozen")
        await refused(site, str(wallet.pubkey()), 429, "rate_limited")


async def test_without_a_mint_it_leads_to_the_page_and_off_means_off(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path / "a", mint="") as site:
        said = await site.stranger.post(PATH, {"account": str(Keypair().pubkey())})
        assert said.json == {"type": "external-link", "externalLink": f"{site.base}/claim"}
        assert (await site.stranger.get(PATH)).json["links"]["actions"][0]["type"] == "external-link"
    async with claims_site(claims, tmp_path / "b", actions="off") as site:
        assert (await site.stranger.get("/actions.json")).status == 404
