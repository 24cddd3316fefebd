"""What a signed-in viewer is told about themselves, and the way out for good: opting out.

In: requests with a session. Out: JSON as docs/claims.md says.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from claim_api.answer import Answer, json_answer
from claim_api.audit import audit
from claim_api.errors import ApiError
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.identity.sql import sql
from claim_api.limits import Limits
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.web_database import WebDatabase

SayOptOut = Callable[[str], Awaitable[None]]
"""Takes the viewer's identity; when it returns, the opt-out is on the control stream."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What claims are paid in and how: cluster, address of the mint (empty: no claims), who pays fees."""

    cluster: str
    mint: str
    fee: str


class Me:
    """The part of /v1/me, /api/auth/me and /v1/opt-out. hand_back: see SignIn."""

    def __init__(
        self,
        database: WebDatabase,
        sessions: Sessions,
        limits: Limits,
        terms: Terms,
        say_opt_out: SayOptOut,
        hand_back: Callable[[], None],
    ) -> None:
        self._database, self._sessions, self._limits, self._terms = database, sessions, limits, terms
        self._say_opt_out, self._hand_back = say_opt_out, hand_back

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        return (
            Route("me", "v1/me", {"GET": self.me}),
            Route("auth_me", "api/auth/me", {"GET": self.auth_me}),
            Route("opt_out", "v1/opt-out", {"POST": self.opt_out}),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    async def me(self, request: Request) -> Answer:
        """GET /v1/me."""
        request.query(())
        viewer = await self._sessions.viewer(request)
        self._limits.take("read", viewer.session_hash.hex())
        row = await self._database.fetchrow(sql("me"), viewer.viewer_key)
        return json_answer(
            {
                "viewer": viewer.identity,
                "login": viewer.login,
                "display_name": viewer.display_name,
                "csrf": self._sessions.csrf_token(viewer),
                "session_expires_at": utc(viewer.expires_at),
                "wallet": _binding(row, ""),
                "next_wallet": _binding(row, "next_"),
                "cluster": self._terms.cluster,
                "mint": self._terms.mint or None,
                "fee": self._terms.fee,
                "frozen": row["frozen"],
            }
        )

    async def auth_me(self, request: Request) -> Answer:
        """GET /api/auth/me: the original's question; nobody signed in is no error."""
        request.query(())
        try:
            viewer: Viewer | None = await self._sessions.viewer(request)
        except ApiError as error:
            if error.status != 401:
                raise
            viewer = None
        user = viewer and {"id": str(viewer.viewer_key), "login": viewer.login, "display_name": viewer.display_name}
        return json_answer({"authenticated": viewer is not None, "user": user})

    async def opt_out(self, request: Request) -> Answer:
        """POST /v1/opt-out: 202 when it is on the control stream; running collectors know it within seconds."""
        viewer = await self._sessions.viewer_for_change(request)
        self._limits.take("change", viewer.session_hash.hex())
        await self._say_opt_out(viewer.identity)
        async with self._database.transaction() as connection:
            await audit(connection, viewer.identity, "opt out", viewer.identity)
            await self._sessions.revoke_all(connection, viewer.viewer_key, "opted out")
        self._hand_back()
        made = json_answer({"viewer": viewer.identity, "opted_out": True}, status=202)
        made.headers.append(self._sessions.cookie.clear())
        return made


def utc(at: datetime) -> str:
    """ISO 8601 in UTC, as everywhere in the API."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _binding(row: Any, prefix: str) -> dict[str, str] | None:
    if row[f"{prefix}wallet"] is None:
        return None
    times = {name: utc(row[prefix + name]) for name in ("bound_at", "effective_at")}
    return {"wallet": row[f"{prefix}wallet"], **times}
