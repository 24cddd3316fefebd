"""Claims over HTTP, through a real server: who is signed in claims, looks, waits, and signs; nobody sees another's."""

import asyncio
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from claim_api.ledger.operate import freeze
from claim_api.ledger.reserve import Limits
from claim_api.limits import Limits as Rates
from claim_api.part_counters import PartCounters
from claim_api.payer.door import PayerClient, serving_door
from claim_api.payments.pages import Claims, ClaimTerms
from claim_api.payments.waiting import Waiting
from claim_api.web_database import WebDatabase
from infra.claiming import DatabasePart
from infra.databases import role_dsn
from streams.chain import signing
from tests.claims_parts import CLUSTER
from tests.claims_world import ClaimsWorld
from tests.seals import CHANNEL, T0_S
from tests.signed_in import SignedIn, sessions_on, sign_in

PUBLIC_URL = "http://127.0.0.1:8480"


@dataclass
class Browser:
    """One signed-in viewer before the server."""

    api: Any
    signed_in: SignedIn

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.api.get(path, status=status, headers=self.signed_in.reading)

    async def post(self, path: str, body: Any, status: int = 201) -> Any:
        url = self.api.base + path
        async with self.api.session.post(url, json=body, headers=self.signed_in.changing) as response:
            assert response.status == status, await response.text()
            return await response.json()


class WaitingForFive(Waiting):
    """Says when five wait."""

    def __init__(self, connect: Any) -> None:
        super().__init__(connect)
        self.five = asyncio.Event()

    @contextmanager
    def entered(self, claim_id: int) -> Iterator[asyncio.Event | None]:
        with super().entered(claim_id) as event:
            if len(self) == 5:
                self.five.set()
            yield event


@dataclass
class Site:
    """The server with the part of claims, and browsers before it."""

    world: ClaimsWorld
    api: Any
    waiting: "WaitingForFive"
    sessions: Any
    database: WebDatabase

    async def browser(self, viewer: int) -> Browser:
        return Browser(self.api, await sign_in(self.sessions, self.database, viewer, f"n{viewer}"))


@pytest.fixture
async def site(claims: ClaimsWorld, serve: Any, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(claims, serve, tmp_path) as made:
        yield made


@asynccontextmanager
async def site_of(claims: ClaimsWorld, serve: Any, folder: Path, fee: Any = "server") -> AsyncIterator[Site]:
    dsn = role_dsn(claims.dsn, "twzrd_web")
    database, counters = WebDatabase(dsn), PartCounters()
    sessions = sessions_on(database, PUBLIC_URL)

    async def connect() -> Any:
        return await asyncpg.connect(dsn)

    waiting = WaitingForFive(connect)
    path = folder / "run" / "payer.sock"
    terms = ClaimTerms(cluster=CLUSTER, mint=str(claims.mint), fee=fee, limits=Limits())
    part = Claims(database, sessions, Rates(counters), counters, PayerClient(path), waiting, terms)
    async with (
        serving_door(claims.payer().payer.door, path, Counter()),
        serve(parts=[DatabasePart(database), part]) as api,
    ):
        await waiting.listening.wait()
        yield Site(claims, api, waiting, sessions, database)


async def test_a_claim_from_the_browser_to_the_chain(site: Site) -> None:
    await site.world.hours(7)
    await site.world.bind(7)
    browser = await site.browser(7)
    claim = await browser.post("/v1/claims", {"allocations": "all"})
    assert claim["state"] == "reserved"
    assert claim["base_units"] == "80800000000" and claim["display"] == "80.8"
    assert claim["allocations"] == [
        {"channel": CHANNEL, "login": "forsen", "epoch_start_s": T0_S, "revision": 0, "base_units": "80800000000"}
    ]
    assert [step["step"] for step in claim["steps"]] == ["reserved"]
    path = f"/v1/claims/{claim['claim_id']}"
    assert await browser.get(path) == claim
    payer = site.world.payer()
    await payer.take()
    signed = await browser.get(path)
    assert signed["state"] == "signed"
    assert [step["step"] for step in signed["steps"]] == ["reserved", "signed", "sent"]
    site.world.slots(4)
    await payer.look()
    confirmed = await browser.get(path)
    assert confirmed["state"] == "confirmed" and confirmed["explorer_url"].startswith("https://explorer.solana.com/tx/")
    assert (await browser.get("/v1/claims"))["claims"] == [confirmed]


async def test_who_waits_is_woken_by_the_change(site: Site) -> None:
    claim = await site.world.viewer_with_claim(7)
    browser = await site.browser(7)
    path = f"/v1/claims/{claim.claim_id}?seen=reserved&wait_ms=10000"
    waiters = [asyncio.create_task(browser.get(path)) for _ in range(5)]
    await site.waiting.five.wait()
    began = asyncio.get_running_loop().time()
    await site.world.payer().take()
    assert {one["state"] for one in await asyncio.gather(*waiters)} == {"signed"}
    assert asyncio.get_running_loop().time() - began < 5
    assert len(site.waiting) == 0


async def test_who_waits_in_vain_gets_the_claim_as_it_is(site: Site) -> None:
    claim = await site.world.viewer_with_claim(7)
    browser = await site.browser(7)
    assert (await browser.get(f"/v1/claims/{claim.claim_id}?seen=reserved&wait_ms=50"))["state"] == "reserved"
    assert (await browser.get(f"/v1/claims/{claim.claim_id}?seen=signed"))["state"] == "reserved"
    assert (await browser.get(f"/v1/claims/{claim.claim_id}?seen=paid", 400))["code"] == "malformed"


async def test_another_viewers_claim_is_not_there(site: Site) -> None:
    claim = await site.world.viewer_with_claim(7, fee="viewer")
    other = await site.browser(8)
    assert (await other.get(f"/v1/claims/{claim.claim_id}", 404))["code"] == "unknown_claim"
    assert (await other.get(f"/v1/claims/{claim.claim_id}/transaction", 404))["code"] == "unknown_claim"
    body = {"transaction": b64encode(b"x").decode()}
    assert (await other.post(f"/v1/claims/{claim.claim_id}/transaction", body, 404))["code"] == "unknown_claim"
    assert (await other.get("/v1/claims"))["claims"] == []


async def test_nobody_claims_without_session_token_and_json(site: Site) -> None:
    await site.world.hours(7)
    await site.world.bind(7)
    browser = await site.browser(7)
    url = site.api.base + "/v1/claims"
    body = {"allocations": "all"}
    async with site.api.session.post(url, json=body) as response:
        assert response.status == 401
    async with site.api.session.post(url, json=body, headers=browser.signed_in.reading) as response:
        assert response.status == 403
    headers = {**browser.signed_in.changing, "content-type": "text/plain"}
    async with site.api.session.post(url, data=b'{"allocations":"all"}', headers=headers) as response:
        assert response.status == 415
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 0


async def test_refusals_have_their_codes(site: Site) -> None:
    browser = await site.browser(7)
    await site.world.hours(7)
    everything = {"allocations": "all"}
    assert (await browser.post("/v1/claims", everything, 409))["code"] == "no_wallet"
    await site.world.bind(7)
    one = {"channel": CHANNEL, "epoch_start_s": 5, "revision": 0}
    assert (await browser.post("/v1/claims", {"allocations": [one]}, 404))["code"] == "no_allocation"
    wrongs: list[Any] = [{"allocations": []}, {"allocations": "some"}, {"allocations": [{}]}, {"fee": "server"}, []]
    for wrong in wrongs:
        assert (await browser.post("/v1/claims", wrong, 400))["code"] == "malformed"
    await freeze(site.world.owner, "audit")
    assert (await browser.post("/v1/claims", everything, 503))["code"] == "frozen"
    await freeze(site.world.owner, None)
    await browser.post("/v1/claims", everything)
    assert (await browser.post("/v1/claims", everything, 409))["code"] == "nothing_to_claim"


async def test_the_wallet_signs_over_http(site: Site) -> None:
    world = site.world
    await world.hours(7)
    wallet = await world.bind(7)
    world.localnet.chain.land(world.localnet.chain.airdrop(wallet.pubkey(), 10**9))
    world.slots(4)
    browser = await site.browser(7)
    claim = await browser.post("/v1/claims", {"allocations": "all", "fee": "viewer"})
    path = f"/v1/claims/{claim['claim_id']}/transaction"
    transaction = b64decode((await browser.get(path))["transaction"])
    unsigned = {"transaction": b64encode(transaction).decode()}
    assert (await browser.post(path, unsigned, 409))["code"] == "wrong_transaction"
    assert (await browser.post(path, {"transaction": "no base64!"}, 400))["code"] == "malformed"
    signed = {"transaction": b64encode(signing.sign(transaction, wallet)).decode()}
    sent = await browser.post(path, signed, 200)
    assert sent["state"] == "signed" and sent["signature"]
    world.slots(4)
    await world.payer().look()
    assert (await browser.get(f"/v1/claims/{claim['claim_id']}"))["state"] == "confirmed"


async def test_a_claim_that_the_server_pays_has_nothing_to_sign(site: Site) -> None:
    claim = await site.world.viewer_with_claim(7)
    browser = await site.browser(7)
    assert (await browser.get(f"/v1/claims/{claim.claim_id}/transaction", 409))["code"] == "wrong_fee"


async def test_where_the_viewer_pays_the_server_does_not(claims: ClaimsWorld, serve: Any, tmp_path: Path) -> None:
    await claims.hours(7)
    await claims.bind(7)
    async with site_of(claims, serve, tmp_path, fee="viewer") as site:
        browser = await site.browser(7)
        answer = await browser.post("/v1/claims", {"allocations": "all", "fee": "server"}, 409)
        assert answer["code"] == "fee_not_offered"
        assert (await browser.post("/v1/claims", {"allocations": "all"}))["fee"] == "viewer"


async def test_why_a_claim_is_held_shows_as_its_code(site: Site) -> None:
    claim = await site.world.viewer_with_claim(7)
    await site.world.owner.execute("update claims.claims set amount_base_units = 5")
    await site.world.payer().take()
    browser = await site.browser(7)
    held = await browser.get(f"/v1/claims/{claim.claim_id}")
    assert (held["state"], held["held_because"]) == ("held", "wrong_sum")


async def test_pages_of_claims_go_back_to_the_first(site: Site) -> None:
    await site.world.hours(7, count=5)
    await site.world.bind(7)
    browser = await site.browser(7)
    for n in range(5):
        one = {"channel": CHANNEL, "epoch_start_s": T0_S + 3600 * n, "revision": 0}
        await browser.post("/v1/claims", {"allocations": [one]})
    first = await browser.get("/v1/claims?limit=3")
    second = await browser.get(f"/v1/claims?limit=3&before={first['next_before']}")
    starts = [claim["allocations"][0]["epoch_start_s"] for page in (first, second) for claim in page["claims"]]
    assert starts == [T0_S + 3600 * n for n in (4, 3, 2, 1, 0)]
    assert second["next_before"] is None
