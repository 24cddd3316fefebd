"""The served claim side as role twzrd_web over a real database, a local Twitch on sockets, and browsers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg
import pytest
from multidict import CIMultiDictProxy

from claim_api.config import ApiConfig
from claim_api.errors import ApiError
from claim_api.identity.me import Me, Terms
from claim_api.identity.session_key import SessionKey
from claim_api.identity.sessions import Sessions
from claim_api.identity.sign_in import SignIn
from claim_api.identity.twitch import ClientCredentials, TwitchLogin
from claim_api.identity.validation import Validation
from claim_api.limits import RATES, Limits, Rate
from claim_api.part_counters import PartCounters
from claim_api.routing import Part
from claim_api.server import base_url, listen, running
from claim_api.wallets.pages import Wallets
from claim_api.web_database import WebDatabase
from infra import claiming
from infra.claiming import DatabasePart
from infra.settings import Settings
from infra.twitch_login.server import LocalTwitch, served
from infra.twitch_login.state import LoginState
from tests.signed_in import SESSION_KEY

PLENTY = {name: Rate(10_000, 600_000) for name in RATES}


def web_dsn(dsn: str) -> str:
    """The test's database as role twzrd_web."""
    return claiming.web_dsn(Settings(), dsn)


@dataclass
class Reply:
    """One answer to a browser."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    json: Any = None

    @property
    def location(self) -> str:
        return self.headers["location"]


class Browser:
    """A person's browser: keeps cookies, follows nothing by itself, says where a request comes from."""

    def __init__(self, base: str, twitch: LocalTwitch) -> None:
        self.base, self.twitch = base, twitch
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.csrf = ""

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(method, url, allow_redirects=False, **more) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return Reply(answer.status, answer.headers, body, await answer.json() if is_json else None)

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, json: Any = None, **headers: str) -> Reply:
        """As our own page posts."""
        ours = {"origin": self.base, "sec-fetch-site": "same-origin", "x-csrf-token": self.csrf}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**ours, **given}.items() if value}
        return await self.ask("POST", path, json={} if json is None else json, headers=sent)

    async def to_twitch(self, back: str = "/", method: str = "GET") -> str:
        """Begins; the address at Twitch."""
        reply = await self.ask(method, f"/auth/twitch/login?return={back}")
        assert reply.status in (302, 303), reply.body
        return reply.location

    async def choose(self, authorize_url: str, login: str) -> str:
        """Chooses that user on Twitch's page; the address of the callback."""
        parts = urlsplit(authorize_url)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        page = await self.get(authorize_url)
        assert page.status == 200, page.body
        answered = await self.ask("POST", f"{self.twitch.id_url}/authorize", data={**asked, "user": login})
        assert answered.status == 302, answered.body
        return answered.location

    async def sign_in(self, login: str, back: str = "/") -> Reply:
        """All of it; the callback's answer."""
        reply = await self.get(await self.choose(await self.to_twitch(back), login))
        if "sign_in=" not in reply.location:
            self.csrf = (await self.get("/v1/me")).json["csrf"]
        return reply


@dataclass
class Site:
    """One served process of the claim side."""

    base: str
    dsn: str
    twitch: LocalTwitch
    database: WebDatabase
    sessions: Sessions
    validation: Validation
    counters: PartCounters
    opted_out: list[str] = field(default_factory=list)
    log_is_away: bool = False
    _browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        self._browsers.append(Browser(self.base, self.twitch))
        return self._browsers[-1]

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.session.close()

    async def sql(self, statement: str, *args: object) -> list[Any]:
        """As the database's owner."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(statement, *args))
        finally:
            await connection.close()


Serve = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
async def twitch() -> AsyncIterator[LocalTwitch]:
    async with served(LoginState()) as one:
        one.state.add_user("ann", "5", "Ann")
        one.state.add_user("bob", "6", "Bob")
        yield one


@pytest.fixture
def serve(pg_dsn: str, twitch: LocalTwitch) -> Serve:
    """Serves the claim side; changes go before the usual."""

    @asynccontextmanager
    async def start(
        *,
        rates: Any = PLENTY,
        key: SessionKey = SESSION_KEY,
        public_url: str = "",
        trusted: Any = (),
        timeout_s: float = 5.0,
        life_s: int = 600,
        client: ClientCredentials | None = None,
    ) -> AsyncIterator[Site]:
        config = ApiConfig(dsn=pg_dsn, port=0, fast_hashing=False)
        listening = listen(config)
        base = base_url(listening)
        public, counters = public_url or base, PartCounters()
        database = WebDatabase(web_dsn(pg_dsn))
        sessions = Sessions(database, key, public, counters, life_s=life_s)
        limits = Limits(counters, rates, trusted)
        asks = TwitchLogin(
            client or ClientCredentials(twitch.state.client_id, twitch.state.client_secret),
            twitch.id_url,
            twitch.api_url,
            f"{public}/auth/twitch/callback",
            timeout_s,
        )
        validation = Validation(database, sessions, key, asks, counters, look_s=3600)
        sites: list[Site] = []

        async def opt_out(identity: str) -> None:
            if sites[0].log_is_away:
                raise ApiError(503, "log_away", "the log is away", "try again")
            sites[0].opted_out.append(identity)

        parts: list[Part] = [
            DatabasePart(database),
            SignIn(database, sessions, key, asks, limits, counters, public, validation.wake),
            validation,
            Me(database, sessions, limits, Terms("localnet", "", "server"), opt_out, validation.wake),
            Wallets(database, sessions, limits, counters, "localnet"),
        ]
        async with running(config, parts=parts, listening=listening):
            site = Site(base, pg_dsn, twitch, database, sessions, validation, counters)
            sites.append(site)
            try:
                yield site
            finally:
                await site.close()

    return start


@pytest.fixture
async def site(serve: Serve) -> AsyncIterator[Site]:
    async with serve() as one:
        yield one
