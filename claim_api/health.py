"""GET /health: ready, degraded with reasons, or 503 where no answer can be given.

In: the read models and what the watcher saw. Out: JSON. Asked for often, so one answer serves for half a second.
"""

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

Lag = Callable[[], Awaitable[Mapping[str, int]]]
"""Records between each projection and the end of its stream; the composition knows the log, the API does not."""
KEPT_S: Final = 0.5
MAX_NAMED: Final = 10


class HealthPage:
    """See the module."""

    def __init__(self, config: ApiConfig, database: Database, hub: Hub, lag_records: Lag | None) -> None:
        self._config, self._database, self._hub, self._lag_records = config, database, hub, lag_records
        self._known: tuple[float, Answer] | None = None

    async def health(self, request: Request) -> Answer:
        """200 while proofs can be given, if need be with reasons why not all is well; else 503."""
        request.query(())
        now = time.monotonic()
        if self._known is None or now - self._known[0] > KEPT_S:
            self._known = (now, await self._look())
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
            lags = await self._lag_records()
            body["projection_lag_records"] = dict(lags)
            reasons += [
                f"projection {name} is {lag} records behind, over the bound of {self._config.max_lag_records}"
                for name, lag in lags.items()
                if lag > self._config.max_lag_records
            ]
        if reasons:
            body["status"] = "degraded"
        return json_answer(body, status=status)

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
        body["projections"] = _positions(await read.positions(self._database))
        if not body["projections"]:
            reasons.append("no projection has run yet; start one: twzrd project")


def _positions(positions: list[Any]) -> dict[str, int]:
    """Records applied, by projection, over all partitions."""
    found: dict[str, int] = {}
    for one in positions:
        found[one.projection] = found.get(one.projection, 0) + one.next_offset
    return found
