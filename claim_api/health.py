"""GET /health: ready, degraded with reasons, or 503 where no answer can be given.

In: the read models and what the watcher saw. Out: JSON. Asked for often, so one answer serves for half a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from claim_api.answer import Answer, json_answer
from claim_api.config import ApiConfig
from claim_api.errors import ApiError
from claim_api.hub import Hub
from claim_api.request import Request
from projections import read
from projections.read import Database
from schemas.errors import TwzrdError

Lag = Callable[[], Awaitable[Mapping[str, int]]]
"""Records between each projection and the end of its stream; the composition knows the log, the API does not. Raises
LagUnknown. Nothing where the database is away, which the page finds out by itself."""
KEPT_S: Final = 0.5
MAX_NAMED: Final = 10
LAG_WAIT_S: Final = 5.0
STILL_S: Final = 120.0
"""A projection that has records to apply and applied none for so long stands still."""
ALARM_S: Final = 86_400
"""How long an alarm is told of here; /metrics counts them all."""


class LagUnknown(TwzrdError):
    """The log does not say how long it is."""


class HealthPage:
    """See the module."""

    def __init__(self, config: ApiConfig, database: Database, hub: Hub, lag_records: Lag | None) -> None:
        self._config, self._database, self._hub, self._lag_records = config, database, hub, lag_records
        self._known: tuple[float, Answer] | None = None
        self._looking = asyncio.Lock()
        self._still: dict[str, tuple[int, float]] = {}
        """By projection: how many records it had applied when that last changed or nothing was left, and when
        (monotonic)."""

    async def health(self, request: Request) -> Answer:
        """200 while proofs can be given, if need be with reasons why not all is well; else 503."""
        request.query(())
        async with self._looking:  # one look for all who ask meanwhile
            if self._known is None or time.monotonic() - self._known[0] > KEPT_S:
                made = await self._look()
                self._known = (time.monotonic(), made)
            return self._known[1]

    async def _look(self) -> Answer:
        body: dict[str, Any] = {"status": "ready", "reasons": [], "stream_clients": self._hub.clients}
        reasons: list[str] = body["reasons"]
        status = 200
        try:
            await self._database_says(body, reasons)
        except ApiError as error:
            status = 503
            reasons.append(f"{error.code}: {error.message}; {error.mend}")
        if self._lag_records is not None:
            await self._lag_says(self._lag_records, body, reasons)
        if reasons:
            body["status"] = "degraded"
        return json_answer(body, status=status)

    async def _lag_says(self, lag_records: Lag, body: dict[str, Any], reasons: list[str]) -> None:
        try:
            async with asyncio.timeout(LAG_WAIT_S):
                lags = dict(await lag_records())
        except (LagUnknown, TimeoutError) as error:
            why = str(error) or "the log does not answer"
            reasons.append(f"how far the projections are behind cannot be learnt: {why}")
            return
        body["projection_lag_records"] = lags
        now_s, bound = time.monotonic(), self._config.max_lag_records
        for name, lag in lags.items():
            applied = body.get("projections", {}).get(name, 0)
            before, since_s = self._still.get(name, (-1, now_s))
            if lag == 0 or applied != before:
                self._still[name] = (applied, now_s)
            elif now_s - since_s > STILL_S:
                reasons.append(
                    f"projection {name} applied nothing for {now_s - since_s:.0f} s, with {lag} records to apply; "
                    "is `twzrd project` (for raw ones `twzrd raw`) running? Its log says more; one that is not to run "
                    "any more is forgotten by deleting its rows of projection_positions"
                )
            if lag > bound:
                reasons.append(f"projection {name} is {lag} records behind, over the bound of {bound}")

    async def _database_says(self, body: dict[str, Any], reasons: list[str]) -> None:
        newest = await read.newest_epoch(self._database)
        body["newest_seal_id"] = await read.last_seal_id(self._database)
        body["newest_seal_age_s"] = None
        if newest is not None:
            age_s = max(0, int(time.time()) - newest.epoch_start_s - newest.epoch_length_s)
            body["newest_seal_age_s"] = age_s
            bound_s = self._config.max_seal_age_s
            if bound_s is not None and age_s > bound_s:
                reasons.append(f"the newest sealed hour ended {age_s} s ago, over the bound of {bound_s} s")
        stopped = await read.stopped_channels(self._database)
        body["stopped_channels"] = [one.channel for one in stopped[:MAX_NAMED]]
        if stopped:
            reasons.append(
                f"{len(stopped)} channels are stopped by two roots for one seal; see `twzrd project --help` for ruling"
            )
        now_ms = time.time_ns() // 1_000_000
        for alarm in await read.alarms(self._database, limit=MAX_NAMED):
            age_s = max(0, now_ms - alarm.raised_at_ms) // 1000
            # A stop has a reason of its own, for as long as it lasts.
            if age_s < ALARM_S and alarm.kind != "seal_conflict":
                reasons.append(f"alarm {alarm.kind} of {alarm.subject}, {age_s} s ago; see `twzrd status`")
        body["projections"] = _positions(await read.positions(self._database))
        if not body["projections"]:
            reasons.append("no projection has run yet; start one: twzrd project")


def _positions(positions: list[Any]) -> dict[str, int]:
    """Records applied, by projection, over all partitions."""
    found: dict[str, int] = {}
    for one in positions:
        found[one.projection] = found.get(one.projection, 0) + one.next_offset
    return found
