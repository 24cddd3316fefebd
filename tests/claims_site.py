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
from claim_api.limits import RATES, Limits, Rate
from claim_api.part_counters import PartCounters
from claim_api.payer.door import serving_door
from claim_api.routing import Part
from claim_api.server import base_url, listen, running
from claim_api.wallets.pages import Wallets
from claim_api.web_database import WebDatabase
from infra.claim_parts import earned_and_paid
from infra.claiming import DatabasePart
from infra.databases import role_dsn
from infra.settings import Settings
from tests.claims_world import ClaimsWorld, PayerHere
from tests.hours import PEPPER
from tests.signed_in import SignedIn, sessions_on, sign_in

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
    stranger: Asker = field(init=False)

    def __post_init__(self) -> None:
        self.stranger = Asker(self.base, self.http)

    async def browser(self, viewer_key: int) -> Asker:
        """A viewer's, signed in."""
        return Asker(self.base, self.http, await sign_in(self.sessions, self.database, viewer_key, f"n{viewer_key}"))


@contextlib.asynccontextmanager
async def claims_site(
    world: ClaimsWorld, folder: Path, *, rates: Any = PLENTY, **settings: Any
) -> AsyncIterator[ClaimsSite]:
    """settings: before the usual ones."""
    socket_path = folder / "run" / "payer.sock"
    usual: dict[str, Any] = {"mint": str(world.mint), "cluster": CLUSTER, "payer_socket": socket_path, "actions": "on"}
    given = Settings(**{**usual, **settings})
    listening = listen(config := ApiConfig(dsn=world.dsn, port=0, pepper=PEPPER, fast_hashing=False))
    base, dsn, counters = base_url(listening), role_dsn(world.dsn, "twzrd_web"), PartCounters()
    database, reading = WebDatabase(dsn), WebDatabase(dsn, read_only=True)
    sessions, limits = sessions_on(database, base), Limits(counters, rates)

    async def opt_out(identity: str) -> None:
        raise AssertionError("nobody opts out here")

    parts: list[Part] = [
        DatabasePart(database),
        DatabasePart(reading),
        Me(database, sessions, limits, Terms(CLUSTER, given.mint, given.claim_fee), opt_out, lambda: None),
        Wallets(database, sessions, limits, counters, CLUSTER),
        *earned_and_paid(given, dsn, base, database, reading, sessions, limits, counters),
    ]
    payer = world.payer()
    async with (
        serving_door(payer.payer.door, socket_path, Counter()),
        running(config, parts=parts, listening=listening),
        aiohttp.ClientSession() as http,
    ):
        yield ClaimsSite(world, base, payer, database, reading, sessions, counters, http)
