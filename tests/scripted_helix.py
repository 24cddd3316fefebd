"""Twitch's id server and Helix as far as a collector asks them, over real HTTP on 127.0.0.1, with faults on demand.

Speaks as dev.twitch.tv/docs says: token (client credentials), validate, GET /streams with cursors, user_login, GET
/users by id, the bucket of points and its headers. Tests set `streams` and `users` and queue `faults`; `requests` tells
what was asked.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from streams.collect.live.helix import Pacing

CLIENT_ID = "client-of-the-test"
CLIENT_SECRET = "s3cr3t-of-the-test"
PAGE = 100


class Clock:
    """Time that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_767_225_600.0
        self.slept: list[float] = []

    def wall_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    def pacing(self, seed: int = 1) -> Pacing:
        return Pacing(self.wall_s, self.wall_s, self.sleep, random.Random(seed))


@dataclass
class Live:
    """One live stream as the script has it."""

    login: str
    viewers: int
    room_id: str = ""
    started_at: str = "2026-01-01T00:00:00Z"
    title: str = "a title"
    game: str = "Chess"

    def answer(self) -> dict[str, object]:
        return {
            "id": "9",
            "user_id": self.room_id or str(1000 + sum(self.login.encode())),
            "user_login": self.login,
            "user_name": self.login.title(),
            "game_id": "743",
            "game_name": self.game,
            "type": "live",
            "title": self.title,
            "viewer_count": self.viewers,
            "started_at": self.started_at,
            "language": "en",
            "thumbnail_url": "",
            "tags": [],
            "is_mature": False,
        }


@dataclass
class ScriptedHelix:
    """The servers' state. wall_s: their clock, for the bucket's reset."""

    wall_s: Callable[[], float]
    streams: list[Live] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    """id -> login, of those that are there and not suspended."""
    expires_in_s: int = 5_000_000
    points: int = 800
    faults: deque[int | bytes] = field(default_factory=deque)
    """Of the next answers of Helix: an HTTP status, or a body that is not what it should be."""
    token_faults: deque[int] = field(default_factory=deque)
    good_tokens: set[str] = field(default_factory=set)
    issued: int = 0
    requests: list[str] = field(default_factory=list)
    reset_s: float = 0.0
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer that is being made."""
    on_page: Callable[[int], None] = lambda page: None

    @property
    def id_url(self) -> str:
        return self.url + "/oauth2"

    @property
    def api_url(self) -> str:
        return self.url + "/helix"

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/oauth2/token", self._token)
        app.router.add_get("/oauth2/validate", self._validate)
        app.router.add_get("/helix/streams", self._streams)
        app.router.add_get("/helix/users", self._users)
        return app

    async def _token(self, request: web.Request) -> web.Response:
        self.requests.append("token")
        if self.token_faults:
            return web.json_response({"status": 503}, status=self.token_faults.popleft())
        form = await request.post()
        assert not request.query_string, "credentials in an address would lie in every proxy's log"
        if (form.get("client_id"), form.get("client_secret"), form.get("grant_type")) != (
            CLIENT_ID,
            CLIENT_SECRET,
            "client_credentials",
        ):
            return web.json_response({"status": 403, "message": "invalid client secret"}, status=403)
        self.issued += 1
        token = f"token-{self.issued}-t0ps3cret"
        self.good_tokens.add(token)
        return web.json_response({"access_token": token, "expires_in": self.expires_in_s, "token_type": "bearer"})

    async def _validate(self, request: web.Request) -> web.Response:
        self.requests.append("validate")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        good = scheme == "OAuth" and token in self.good_tokens
        return web.json_response({"client_id": CLIENT_ID} if good else {"status": 401}, status=200 if good else 401)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """What the bucket, the faults and the token say against it; else sets `headers`."""
        if self.wall_s() >= self.reset_s:
            self.points, self.reset_s = max(self.points, 800), float(int(self.wall_s()) + 60)
        headers = self.headers = {
            "Ratelimit-Limit": "800",
            "Ratelimit-Remaining": str(max(0, self.points - 1)),
            "Ratelimit-Reset": str(int(self.reset_s)),
        }
        if self.points <= 0:
            return web.json_response({"status": 429}, status=429, headers=headers)
        self.points -= 1
        if self.faults:
            fault = self.faults.popleft()
            if isinstance(fault, bytes):
                return web.Response(body=fault, headers=headers)
            return web.json_response({"status": fault, "message": "on demand"}, status=fault, headers=headers)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.good_tokens or request.headers.get("Client-Id") != CLIENT_ID:
            return web.json_response({"status": 401, "message": "Invalid OAuth token"}, status=401, headers=headers)
        return None

    async def _users(self, request: web.Request) -> web.Response:
        self.requests.append(f"users?{request.query_string}")
        if (refusal := self._refusal(request)) is not None:
            return refusal
        ids = request.query.getall("id", [])
        assert 1 <= len(ids) <= PAGE
        data = [{"id": one, "login": self.users[one], "display_name": "x"} for one in ids if one in self.users]
        return web.json_response({"data": data}, headers=self.headers)

    async def _streams(self, request: web.Request) -> web.Response:
        self.requests.append(f"streams?{request.query_string}")
        if (refusal := self._refusal(request)) is not None:
            return refusal
        logins = set(request.query.getall("user_login", []))
        assert len(logins) <= PAGE and int(request.query["first"]) <= PAGE
        found = [one for one in self.streams if not logins or one.login in logins]
        found.sort(key=lambda one: -one.viewers)
        start = int(request.query.get("after", "0"))
        page = found[start : start + PAGE]
        more = start + PAGE < len(found)
        answer = {
            "data": [one.answer() for one in page],
            "pagination": {"cursor": str(start + PAGE)} if more else {},
        }
        self.on_page(start // PAGE)
        return web.json_response(answer, headers=self.headers)


@asynccontextmanager
async def served(helix: ScriptedHelix) -> AsyncIterator[ScriptedHelix]:
    """The servers on a free port of 127.0.0.1 while the block runs."""
    runner = web.AppRunner(helix.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    helix.url = f"http://{host}:{port}"
    try:
        yield helix
    finally:
        await runner.cleanup()
