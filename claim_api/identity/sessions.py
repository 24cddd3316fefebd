"""Sessions: a random secret in a signed cookie, its hash in claims.sessions. What every part of the claim side asks.

In: a Request. Out: the Viewer who sent it, or an ApiError of 401 or 403. Look-ups are remembered for CACHE_S: a session
that another process revoked ends here at most that much later, one revoked in this process ends at once.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from claim_api.audit import audit
from claim_api.errors import ApiError
from claim_api.gathering import Gathering
from claim_api.identity.cookies import cookie
from claim_api.identity.origin import check_origin, foreign, origin_of
from claim_api.identity.session_key import SECRET_BYTES, SessionKey, hash_of
from claim_api.identity.sql import sql
from claim_api.part_counters import PartCounters
from claim_api.request import Request
from claim_api.web_database import WebDatabase

LIFE_S: Final = 7 * 86_400
CACHE_S: Final = 5.0
MAX_CACHED: Final = 10_000
BARRIER_S: Final = 60.0
"""After a revocation the viewer is looked up afresh for so long: longer than any transaction of ours may last, so that
no look-up remembers what stood before its commit."""
CSRF_HEADER: Final = b"x-csrf-token"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in. viewer_key: their numeric Twitch id."""

    session_hash: bytes
    viewer_key: int
    login: str
    display_name: str
    expires_at: datetime

    @property
    def identity(self) -> str:
        """As seals and read models name them."""
        return f"twitch:id:{self.viewer_key}"


class Sessions:
    """All sessions as one process sees them. public_url: our address as browsers see it. clock_s: monotonic."""

    def __init__(
        self,
        database: WebDatabase,
        key: SessionKey,
        public_url: str,
        counters: PartCounters,
        *,
        life_s: int = LIFE_S,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._database, self._key, self._counters = database, key, counters
        self.life_s: Final = life_s
        self._clock_s = clock_s
        self.cookie: Final = cookie("twzrd-session", public_url)
        self.origin: Final = origin_of(public_url)
        self._cache: OrderedDict[bytes, tuple[Viewer, float]] = OrderedDict()
        self._signed: dict[str, bytes] = {}
        """Cookies' values that we signed, with their sessions' hashes."""
        self._looking: Gathering[bytes, Any] = Gathering("session_look_ups", self._look, counters)
        self._barriers: OrderedDict[int, float] = OrderedDict()
        self._no_cache_until_s = 0.0
        counters.gauges["sessions_cached"] = lambda: len(self._cache)

    async def viewer(self, request: Request) -> Viewer:
        """Who sent this. Raises ApiError 401 `sign_in_required`."""
        value = self.cookie.value(request)
        if value is None:
            raise sign_in_required("the request has no session")
        session_hash = self._signed.get(value) or self._verified(value)
        found = await self._find(session_hash)
        if found is None:
            self._counters.counts["sessions_refused", "over"] += 1
            raise sign_in_required("the session is over")
        return found

    async def viewer_of_our_page(self, request: Request) -> Viewer:
        """The same for what changes state and takes no token: the caller must insist on JSON. Raises ApiError 401, and
        403 `csrf` from a foreign page."""
        check_origin(request, self.origin)
        return await self.viewer(request)

    async def viewer_for_change(self, request: Request) -> Viewer:
        """The same for what changes state. Raises ApiError 401, and 403 `csrf` without the session's x-csrf-token or
        from a foreign page."""
        found = await self.viewer_of_our_page(request)
        token = (request.header(CSRF_HEADER) or b"").decode("latin-1")
        if not self._key.is_csrf_token(found.session_hash, token):
            self._counters.counts["sessions_refused", "csrf"] += 1
            raise foreign("x-csrf-token is missing or not this session's; GET /v1/me says it")
        return found

    def csrf_token(self, viewer: Viewer) -> str:
        """What the session's page must send in x-csrf-token."""
        return self._key.csrf_token(viewer.session_hash)

    async def begin(
        self, connection: Any, viewer_key: int, login: str, display_name: str, token: str | None = None
    ) -> tuple[Viewer, str]:
        """A new session of that Twitch user, whose names are brought up to date; the Viewer and the cookie's value.
        connection: inside a transaction. token: Twitch's access token, kept sealed."""
        secret = secrets.token_bytes(SECRET_BYTES)
        session_hash = hash_of(secret)
        expires_at = datetime.now(UTC) + timedelta(seconds=self.life_s)
        await connection.execute(sql("put_user"), viewer_key, login, display_name)
        sealed = None if token is None else self._key.sealed(session_hash, token)
        await connection.execute(sql("begin_session"), session_hash, viewer_key, expires_at, sealed)
        viewer = Viewer(session_hash, viewer_key, login, display_name, expires_at)
        await audit(connection, viewer.identity, "begin session", viewer.identity, login=login)
        return viewer, self._key.sign(self.cookie.name, secret)

    async def revoke(self, connection: Any, viewer: Viewer, because: str) -> None:
        """Ends that session with the transaction of `connection`. because: a word of ours."""
        await self.revoke_hash(connection, viewer.session_hash, viewer.viewer_key, because)

    async def revoke_hash(self, connection: Any, session_hash: bytes, viewer_key: int, because: str) -> None:
        """The same of a session known by its hash only."""
        self._forget(viewer_key)
        if await connection.fetchval(sql("revoke_session"), session_hash, because) is not None:
            identity = f"twitch:id:{viewer_key}"
            await audit(connection, identity, "end session", identity, because=because)
            self._counters.counts["sessions_ended", because] += 1

    async def revoke_all(self, connection: Any, viewer_key: int, because: str) -> int:
        """Ends all sessions of a viewer with the transaction of `connection`; how many. because: a word of ours."""
        self._forget(viewer_key)
        ended = await connection.fetch(sql("revoke_sessions"), viewer_key, because)
        if ended:
            identity = f"twitch:id:{viewer_key}"
            await audit(connection, identity, "end sessions", identity, because=because, sessions=len(ended))
            self._counters.counts["sessions_ended", because] += len(ended)
        return len(ended)

    def _verified(self, value: str) -> bytes:
        secret = self._key.verified(self.cookie.name, value)
        if secret is None:
            self._counters.counts["sessions_refused", "forged"] += 1
            raise sign_in_required("the session is none of ours")
        if len(self._signed) >= MAX_CACHED:
            self._signed.clear()
        # The process's keys never change, so what was signed once stays so; whether the session lives is asked anew.
        found = self._signed[value] = hash_of(secret)
        return found

    async def _find(self, session_hash: bytes) -> Viewer | None:
        cached = self._cache.get(session_hash)
        if cached is not None:
            viewer, until_s = cached
            if self._clock_s() < until_s and datetime.now(UTC) < viewer.expires_at:
                self._cache.move_to_end(session_hash)
                return viewer
            del self._cache[session_hash]
        asked_s = self._clock_s()
        row = await self._looking.find(session_hash)
        if row is None:
            return None
        viewer = Viewer(session_hash, row["viewer_key"], row["login"], row["display_name"], row["expires_at"])
        if asked_s >= max(self._no_cache_until_s, self._barriers.get(viewer.viewer_key, 0.0)):
            self._cache[session_hash] = viewer, asked_s + CACHE_S
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        return viewer

    async def _look(self, hashes: list[bytes]) -> dict[bytes, Any]:
        return {row["session_hash"]: row for row in await self._database.fetch(sql("sessions"), hashes)}

    def _forget(self, viewer_key: int) -> None:
        """Nothing of that viewer is answered from memory until the change under way is surely over."""
        until_s = self._clock_s() + BARRIER_S
        self._barriers[viewer_key] = until_s
        self._barriers.move_to_end(viewer_key)
        if len(self._barriers) > MAX_CACHED:
            # A barrier that is dropped early holds for everybody.
            self._no_cache_until_s = max(self._no_cache_until_s, self._barriers.popitem(last=False)[1])
        for one in [key for key, (viewer, _) in self._cache.items() if viewer.viewer_key == viewer_key]:
            del self._cache[one]


def sign_in_required(because: str) -> ApiError:
    """401: nobody is signed in."""
    return ApiError(401, "sign_in_required", because, "sign in at /auth/twitch/login")
