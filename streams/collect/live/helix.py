"""Twitch Helix: which streams are live now, and which logins ids bear. HTTP in, rows out; stands under the
discovery and the following of renames.

Rules: dev.twitch.tv/docs/api/reference#get-streams (sorted by viewers, 100 a page, cursors), #get-users (by id, at most
100 a question; who is suspended or gone is left out), and
dev.twitch.tv/docs/api/guide#rate-limits (Ratelimit-Remaining, -Reset: a bucket of points; 429 when it is empty).
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec

from schemas import control
from schemas.errors import SchemaError
from streams.collect.live.app_token import TIMEOUT, AppToken, Credentials, HelixError

logger: Final = logging.getLogger(__name__)

PAGE: Final = 100
"""Streams of one answer, and logins or ids of one question: Helix's bound for all."""
MAX_PAGES: Final = 20
MAX_ANSWER_BYTES: Final = 4 << 20
ATTEMPTS: Final = 5
FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 30.0
MAX_WAIT_S: Final = 120.0
"""Longest wait for the bucket to be refilled, whatever its header says."""
LEFT_FOR_OTHERS: Final = 10
"""Points of the bucket that we leave: other programs may use the same client id."""


class _Answered(msgspec.Struct):
    user_id: str
    user_login: str
    viewer_count: int = 0
    title: str = ""
    game_name: str = ""
    started_at: str = ""
    type: str = "live"


class _Pagination(msgspec.Struct):
    cursor: str = ""


class _Page(msgspec.Struct):
    data: list[_Answered]
    pagination: _Pagination = msgspec.field(default_factory=_Pagination)


class _User(msgspec.Struct):
    id: str
    login: str


class _Users(msgspec.Struct):
    data: list[_User]


_users_decoder = msgspec.json.Decoder(_Users)
_page_decoder = msgspec.json.Decoder(_Page)


class Stream(msgspec.Struct, frozen=True):
    """A live channel. room_id: digits; title and game are cut to the bounds of schemas.control."""

    room_id: str
    login: str
    viewers: int
    title: str
    game: str
    started_at_ms: int


@dataclass(slots=True)
class HelixCounters:
    """What happened on the way."""

    requests_total: int = 0
    retries_total: int = 0
    """After 429, 5xx and lost connections."""
    rate_limited_total: int = 0
    """429 answers."""
    waits_for_rate_total: int = 0
    """Times we waited because the bucket was nearly empty."""
    tokens_refused_total: int = 0
    malformed_streams_total: int = 0
    """Streams passed over because a field is of no documented form."""
    malformed_users_total: int = 0
    """Users passed over for the same reason."""


@dataclass(slots=True)
class Pacing:
    """Where time comes from; tests give their own. wall_s: unix seconds; steady_s: monotonic."""

    wall_s: Callable[[], float] = time.time
    steady_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: random.Random = field(default_factory=random.Random)


class Helix:
    """A client with one app token. The session is the caller's, who closes it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        *,
        id_url: str = "https://id.twitch.tv/oauth2",
        api_url: str = "https://api.twitch.tv/helix",
        pacing: Pacing | None = None,
    ) -> None:
        self.counters = HelixCounters()
        self._session = session
        self._url = api_url
        self._pacing = pacing or Pacing()
        self.token = AppToken(session, credentials, id_url, self._pacing.steady_s)
        self._remaining: int | None = None
        self._reset_s = 0.0

    async def top(self, least_viewers: int, max_pages: int = MAX_PAGES) -> list[Stream]:
        """Live streams with at least so many viewers, most viewers first, of at most max_pages pages of 100. One that
        moves between pages while they are read comes once. Raises HelixError."""
        found: dict[str, Stream] = {}
        async for page in self._pages([], max_pages):
            for stream in page:
                found.setdefault(stream.room_id, stream)
            if not page or page[-1].viewers < least_viewers:
                break
        return [stream for stream in found.values() if stream.viewers >= least_viewers]

    async def live_among(self, logins: Sequence[str]) -> list[Stream]:
        """Those of these logins that are live, in no order. Raises HelixError."""
        found: dict[str, Stream] = {}
        for start in range(0, len(logins), PAGE):
            asked = [("user_login", login) for login in logins[start : start + PAGE]]
            async for page in self._pages(asked, 1):
                found |= {stream.room_id: stream for stream in page}
        return list(found.values())

    async def logins_of(self, room_ids: Sequence[str]) -> dict[str, str]:
        """room id -> the login that it bears now, of those that Twitch knows and did not suspend. Raises HelixError."""
        found: dict[str, str] = {}
        for start in range(0, len(room_ids), PAGE):
            asked = room_ids[start : start + PAGE]
            body = await self._get("/users", [("id", one) for one in asked])
            try:
                users = _users_decoder.decode(body).data
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise HelixError(f"GET /users: an answer of {len(body)} bytes that lists no users") from None
            for user in users:
                try:
                    login = control.login(user.login)
                except SchemaError:
                    login = ""
                if login and user.id in asked:
                    found[user.id] = login
                else:
                    self.counters.malformed_users_total += 1
        return found

    async def _pages(self, asked: list[tuple[str, str]], max_pages: int) -> AsyncIterator[list[Stream]]:
        cursor = ""
        for _ in range(max_pages):
            after = [("after", cursor)] if cursor else []
            body = await self._get("/streams", [("first", str(PAGE)), *asked, *after])
            try:
                page = _page_decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise HelixError(f"GET /streams: an answer of {len(body)} bytes that lists no streams") from None
            yield [stream for one in page.data if (stream := self._stream(one)) is not None]
            if not page.pagination.cursor or page.pagination.cursor == cursor:
                return
            cursor = page.pagination.cursor

    async def _get(self, path: str, parameters: list[tuple[str, str]]) -> bytes:
        """One answer of GET path; waits for the rate limit, tries again after faults, at most ATTEMPTS times."""
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.counters.retries_total += 1
                pause_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
                await self._pacing.sleep(pause_s * (0.5 + self._pacing.chance.random() / 2))
            await self._wait_for_rate()
            token = await self.token.get()
            headers = {"Authorization": f"Bearer {token}", "Client-Id": self.token.client_id}
            self.counters.requests_total += 1
            try:
                async with self._session.get(
                    f"{self._url}{path}", params=parameters, headers=headers, timeout=TIMEOUT
                ) as answer:
                    status = answer.status
                    self._note_rate(answer.headers)
                    body = b"" if status != 200 else await _bounded(path, answer)
            except (aiohttp.ClientError, TimeoutError) as error:
                why = type(error).__name__
                continue
            if status == 200:
                return body
            why = f"HTTP {status}"
            if status == 401:
                self.counters.tokens_refused_total += 1
                self.token.refused(token)
            elif status == 429:
                self.counters.rate_limited_total += 1
                self._remaining = 0
            elif status < 500:
                raise HelixError(f"GET {path}: {why}; Helix does not take what was asked")
        raise HelixError(f"GET {path} failed {ATTEMPTS} times, last with {why}")

    def _note_rate(self, headers: Mapping[str, str]) -> None:
        remaining, reset = (_number(headers, f"Ratelimit-{name}") for name in ("Remaining", "Reset"))
        if remaining is not None and reset is not None:
            self._remaining, self._reset_s = remaining, float(reset)

    async def _wait_for_rate(self) -> None:
        if self._remaining is None or self._remaining > LEFT_FOR_OTHERS:
            return
        wait_s = min(MAX_WAIT_S, self._reset_s - self._pacing.wall_s())
        self._remaining = None
        if wait_s > 0:
            self.counters.waits_for_rate_total += 1
            await self._pacing.sleep(wait_s)

    def _stream(self, one: _Answered) -> Stream | None:
        try:
            started = datetime.fromisoformat(one.started_at.replace("Z", "+00:00"))
            stream = Stream(
                one.user_id,
                control.login(one.user_login),
                one.viewer_count,
                control.text(one.title),
                control.text(one.game_name),
                int(started.astimezone(UTC).timestamp() * 1000),
            )
        except (SchemaError, ValueError):
            self.counters.malformed_streams_total += 1
            return None
        if not (one.user_id.isascii() and one.user_id.isdigit() and len(one.user_id) <= 20) or one.type != "live":
            self.counters.malformed_streams_total += 1
            return None
        return stream


async def _bounded(path: str, answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise HelixError(f"GET {path}: an answer over the bound of {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else None
