"""The served claim side over a claims world: what was earned, claims, the original's questions, actions; and browsers.

The payer answers on its socket and steps only when the test says so.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from claim_api.config import ApiConfig
from claim_api.identity.me import Me, Terms
from claim_api.identity.sessions import Sessions
from claim_api.identity.sign_in import SignIn
from claim_api.identity.twitch import ClientCredentials, TwitchLogin
from claim_api.limits import RATES, Limits, Rate
from claim_api.part_counters import PartCounters
from claim_api.payer.door import serving_door
from claim_api.routing import Part
from claim_api.rpc_part import RpcPart
from claim_api.rpc_proxy import ProxyBounds, RpcProxy
from claim_api.server import base_url, listen, running
from claim_api.wallets.pages import Wallets
from claim_api.web_database import WebDatabase
from infra.claim_parts import earned_and_paid
from infra.claiming import DatabasePart
from infra.databases import role_dsn
from infra.settings import Settings
from infra.twitch_login.server import LocalTwitch
from streams.chain.rpc.config import EndpointConfig
from streams.chain.rpc.pool import RpcPool
from tests.claims_world import ClaimsWorld, PayerHere
from tests.hours import PEPPER
from tests.signed_in import SESSION_KEY, SignedIn, sessions_on, sign_in

CLUSTER = "localnet"
PLENTY = {name: Rate(100_000, 6_000_000) for name in RATES}


@dataclass
class Said:
    """One answer."""

    status: int
    headers: Any
    json: Any
    body: bytes


@dataclass
class Asker:
    """One client, signed in or not."""

    base: str
    session: aiohttp.ClientSession
    signed_in: SignedIn | None = None

    async def get(self, path: str, **headers: str) -> Said:
        ours = {} if self.signed_in is None else self.signed_in.reading
        return await self._ask("GET", path, {**ours, **headers})

    async def post(self, path: str, body: Any, **headers: str) -> Said:
        ours = {} if self.signed_in is None else self.signed_in.changing
        return await self._ask("POST", path, {**ours, **headers}, json=body)

    async def post_without_token(self, path: str, body: Any, **headers: str) -> Said:
        """With the session's cookie only, as the original's clients do."""
        ours = {} if self.signed_in is None else self.signed_in.reading
        return await self._ask("POST", path, {**ours, **headers}, json=body)

    async def options(self, path: str) -> Said:
        return await self._ask("OPTIONS", path, {})

    async def _ask(self, method: str, path: str, headers: dict[str, str], **more: Any) -> Said:
        url = self.base + path
        async with self.session.request(method, url, headers=headers, allow_redirects=False, **more) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return Said(answer.status, answer.headers, await answer.json() if is_json else None, body)


@dataclass
class ClaimsSite:
    """One served process; reading: the database that cannot write."""

    world: ClaimsWorld
    base: str
    payer: PayerHere
    database: WebDatabase
    reading: WebDatabase
    sessions: Any
    counters: PartCounters
    http: aiohttp.ClientSession
    opted_out: list[str]
    stranger: Asker = field(init=False)

    def __post_init__(self) -> None:
        self.stranger = Asker(self.base, self.http)

    async def browser(self, viewer_key: int) -> Asker:
        """A viewer's, signed in."""
        return Asker(self.base, self.http, await sign_in(self.sessions, self.database, viewer_key, f"n{viewer_key}"))


@contextlib.asynccontextmanager
async def claims_site(
    world: ClaimsWorld, folder: Path, *, rates: Any = PLENTY, twitch: LocalTwitch | None = None, **settings: Any
) -> AsyncIterator[ClaimsSite]:
    """settings: before the usual ones. twitch: where browsers sign in; then POST /rpc is served, too."""
    socket_path = folder / "run" / "payer.sock"
    usual: dict[str, Any] = {"mint": str(world.mint), "cluster": CLUSTER, "payer_socket": socket_path, "actions": "on"}
    given = Settings(**{**usual, **settings})
    listening = listen(config := ApiConfig(dsn=world.dsn, port=0, pepper=PEPPER, fast_hashing=False))
    base, dsn, counters = base_url(listening), role_dsn(world.dsn, "twzrd_web"), PartCounters()
    database, reading = WebDatabase(dsn), WebDatabase(dsn, read_only=True)
    sessions, limits = sessions_on(database, base), Limits(counters, rates)

    opted_out: list[str] = []

    async def opt_out(identity: str) -> None:
        opted_out.append(identity)

    parts: list[Part] = [
        DatabasePart(database),
        DatabasePart(reading),
        Me(database, sessions, limits, Terms(CLUSTER, given.mint, given.claim_fee), opt_out, lambda: None),
        Wallets(database, sessions, limits, counters, CLUSTER),
        *earned_and_paid(given, dsn, base, database, reading, sessions, limits, counters),
        *([] if twitch is None else [_signing_in(twitch, database, sessions, limits, counters), _rpc(world, counters)]),
    ]
    payer = world.payer()
    async with (
        serving_door(payer.payer.door, socket_path, Counter()),
        running(config, parts=parts, listening=listening),
        aiohttp.ClientSession() as http,
    ):
        yield ClaimsSite(world, base, payer, database, reading, sessions, counters, http, opted_out)


def _signing_in(
    twitch: LocalTwitch, database: WebDatabase, sessions: Sessions, limits: Limits, counters: PartCounters
) -> Part:
    asks = TwitchLogin(
        ClientCredentials(twitch.state.client_id, twitch.state.client_secret),
        twitch.id_url,
        twitch.api_url,
        f"{sessions.origin}/auth/twitch/callback",
    )
    return SignIn(database, sessions, SESSION_KEY, asks, limits, counters, sessions.origin, lambda: None)


def _rpc(world: ClaimsWorld, counters: PartCounters) -> Part:
    pool = RpcPool([EndpointConfig(url=world.localnet.url, rate_per_s=10_000, burst=10_000)])
    bounds = ProxyBounds(client_rate_per_s=100_000, client_burst=100_000, all_rate_per_s=100_000, all_burst=100_000)
    return RpcPart(pool, RpcProxy(pool, counters, bounds))
