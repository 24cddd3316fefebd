"""Tokens while their sessions live: validated every hour as Twitch asks, renewed when they expire, handed back at the
end. A session whose permission was taken back at Twitch ends here.

In: rows of claims.sessions. Out: the same, and questions to Twitch, at most one each GAP_S: 36,000 sessions an hour in
one process. Source of the hour: dev.twitch.tv/docs/authentication/validate-tokens. With several processes a token may
be validated twice in an hour.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from claim_api.audit import audit
from claim_api.errors import ApiError
from claim_api.identity.session_key import SessionKey
from claim_api.identity.sessions import Sessions
from claim_api.identity.sql import sql
from claim_api.identity.twitch import ForeignToken, Grant, TokenRefused, TwitchBusy, TwitchError, TwitchLogin
from claim_api.part_counters import PartCounters
from claim_api.routing import Route
from claim_api.web_database import WebDatabase

logger: Final = logging.getLogger("twzrd.api")
EVERY_S: Final = 3_600
UNVALIDATED_S: Final = 24 * 3_600
"""A session whose token Twitch could not be asked about for so long ends."""
LOOK_S: Final = 30.0
GAP_S: Final = 0.1
ROUND: Final = 100
"""Most sessions looked at in one round, of each kind. After a full round the next begins at once."""
FAILURES: Final = 3
"""After so many in a row the round ends: Twitch is not well. One is enough where it says that we ask too much."""
PAUSE_S: Final = 300.0
"""A token that could not be asked about is left alone for so long."""
MAX_PAUSED: Final = 10_000
HAND_BACK_S: Final = 3_600
"""A token that Twitch did not take back in so long is forgotten; it ends by itself."""
KEEP_SESSIONS_S: Final = 30 * 86_400
"""Rows of sessions that are over stay so long, for whoever looks into a theft."""
DELETE: Final = 1_000


class Validation:
    """The part without routes that keeps sessions honest."""

    def __init__(
        self,
        database: WebDatabase,
        sessions: Sessions,
        key: SessionKey,
        twitch: TwitchLogin,
        counters: PartCounters,
        look_s: float = LOOK_S,
    ) -> None:
        self._database, self._sessions, self._key, self._twitch = database, sessions, key, twitch
        self._counters, self._look_s = counters, look_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._paused: OrderedDict[bytes, float] = OrderedDict()
        self._next_ask_s = 0.0
        self._due_s: float | None = None
        counters.gauges["validation_late_seconds"] = self._late_s

    def routes(self) -> Sequence[Route]:
        """None."""
        return ()

    async def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends where it stands; what is left is found again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """There is something to do now."""
        self._wake.set()

    async def _run(self) -> None:
        more = False
        while True:
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._look_s)
            self._wake.clear()
            more = False
            try:
                more = await self.round()
            except ApiError as error:  # the database is away: said where it was asked
                self._counters.counts["validations", error.code] += 1
            except Exception:  # a fault of ours must not end all validation
                logger.exception("a round of validation failed")
                self._counters.counts["validations", "fault"] += 1

    async def round(self) -> bool:
        """What is due now, within the bounds above; whether more may be, which Twitch would answer. Raises ApiError
        503."""
        await self._database.execute(sql("delete_old_states"), DELETE)
        await self._database.execute(sql("delete_old_challenges"), DELETE)
        await self._database.execute(sql("delete_old_sessions"), DELETE, KEEP_SESSIONS_S)
        more = [await self._hand_back(), await self._validate_due()]
        oldest_s = await self._database.fetchval(sql("oldest_validation_s"))
        self._due_s = None if oldest_s is None else monotonic() - oldest_s + EVERY_S
        return None not in more and any(more)

    def _late_s(self) -> float:
        """By how much the oldest validation is late, as if nothing were validated since the last round."""
        return 0.0 if self._due_s is None else max(0.0, monotonic() - self._due_s)

    async def _validate_due(self) -> bool | None:
        """Whether there may be more; None where Twitch is not well."""
        failures, now_s = 0, monotonic()
        # Left out by the query, else a hundred of them would stand before all others.
        paused = [session for session, until_s in self._paused.items() if until_s > now_s]
        rows = await self._database.fetch(sql("sessions_to_validate"), EVERY_S, UNVALIDATED_S, ROUND, paused)
        for row in rows:
            await self._gap()
            try:
                outcome = await self._validate(row)
                failures = 0
            except TwitchError as error:
                outcome, failures = await self._not_validated(row, error), failures + 1
                if isinstance(error, TwitchBusy):
                    failures = FAILURES
            self._counters.counts["validations", outcome] += 1
            if failures >= FAILURES:
                return None
        return len(rows) == ROUND

    async def _gap(self) -> None:
        await asyncio.sleep(self._next_ask_s - monotonic())
        self._next_ask_s = monotonic() + GAP_S

    async def _validate(self, row: Any) -> str:
        """What came of it. Raises TwitchError where that is not known."""
        grant = self._opened(row)
        if grant is None:
            return await self._end(row, "unreadable")
        try:
            said = await self._twitch.validate(grant)
        except TokenRefused:
            return await self._renew(row, grant)
        if said.viewer_key != row["viewer_key"]:
            return await self._end(row, "foreign token")
        async with self._database.transaction() as connection:
            await connection.execute(sql("session_validated"), row["session_hash"])
            await self._renamed(connection, said.viewer_key, said.login)
        return "good"

    async def _renew(self, row: Any, refused: Grant) -> str:
        """An access token lives some hours; the refresh token tells whether the viewer still lets us."""
        async with self._database.transaction() as connection:
            # The row stays locked meanwhile: a refresh token may be good for one use only.
            locked = await connection.fetchrow(sql("lock_session"), row["session_hash"])
            if locked is None or locked["token_sealed"] != row["token_sealed"]:
                return "left to another"
            try:
                grant = await self._twitch.refresh(refused) if refused.refresh_token else None
                said = await self._twitch.validate(grant) if grant else None
            except TokenRefused:
                grant = said = None
            if grant and said and said.viewer_key == row["viewer_key"]:
                sealed = self._key.sealed(row["session_hash"], grant.packed())
                await connection.execute(sql("session_renewed"), row["session_hash"], sealed)
                await self._renamed(connection, said.viewer_key, said.login)
                return "renewed"
            await self._sessions.revoke_hash(connection, row["session_hash"], row["viewer_key"], "revoked at Twitch")
        return "revoked"

    async def _not_validated(self, row: Any, error: TwitchError) -> str:
        logger.warning("a token cannot be validated now: %s: %s", error.code, error)
        if row["too_old"]:
            return await self._end(row, "not validated")
        if isinstance(error, ForeignToken):
            return await self._end(row, "foreign token")
        self._paused[row["session_hash"]] = monotonic() + PAUSE_S
        self._paused.move_to_end(row["session_hash"])
        if len(self._paused) > MAX_PAUSED:
            self._paused.popitem(last=False)
        return error.code

    async def _end(self, row: Any, because: str) -> str:
        async with self._database.transaction() as connection:
            await self._sessions.revoke_hash(connection, row["session_hash"], row["viewer_key"], because)
        return because.replace(" ", "_")

    async def _renamed(self, connection: Any, viewer_key: int, login: str) -> None:
        if await connection.fetchval(sql("rename_user"), viewer_key, login) is not None:
            identity = f"twitch:id:{viewer_key}"
            await audit(connection, "twzrd web", "rename viewer", identity, login=login)

    async def _hand_back(self) -> bool | None:
        """Tokens of sessions that are over. Returns the same."""
        failures = 0
        rows = await self._database.fetch(sql("tokens_to_hand_back"), ROUND, HAND_BACK_S)
        for row in rows:
            await self._gap()
            grant, outcome = self._opened(row), "handed_back"
            try:
                if grant is not None:
                    await self._twitch.revoke(grant)
            except TwitchError as error:
                failures, outcome = FAILURES if isinstance(error, TwitchBusy) else failures + 1, "not_handed_back"
                logger.warning("a token cannot be handed back now: %s: %s", error.code, error)
            self._counters.counts["validations", outcome] += 1
            if outcome == "handed_back" or row["too_old"]:
                await self._database.execute(sql("forget_token"), row["session_hash"])
            if failures >= FAILURES:
                return None
        return len(rows) == ROUND

    def _opened(self, row: Any) -> Grant | None:
        text = self._key.opened(row["session_hash"], row["token_sealed"])
        return None if text is None else Grant.unpacked(text)
