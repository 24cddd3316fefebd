"""What a collector says of its channels, as `state` records on `control`: `twzrd channels why` reads them.

Stands beside the channel reconciler: it reports at every change and never waits; this sends the newest report of each
channel at most once a second. A channel's report may be hours old and true, so the collector also says now and then
that it runs, and at an orderly end that it stopped. Nothing rests on a report, so a lost log only delays them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas import control as records
from schemas.errors import SchemaError
from streams.collect.live.control import say
from streams.collect.live.membership import Attempt
from streams.collect.live.port import MAX_CHANNELS
from streams.log.port import Log, LogError

logger: Final = logging.getLogger(__name__)

SEND_EVERY_S: Final = 1.0
HEARTBEAT_S: Final = 15.0
SILENT_S: Final = 4 * HEARTBEAT_S
"""Who was not heard for so long has died, hangs, or does not reach the log."""
CLOSE_S: Final = 5.0
"""What the log gets at the end to take the rest."""
SEND_AT_MOST: Final = 200
"""Reports of one append; the rest follows a second later."""


@dataclass(slots=True)
class ReportCounters:
    """What became of reports."""

    sent_total: int = 0
    replaced_total: int = 0
    """Not sent, since a newer one of the same channel came before."""
    dropped_total: int = 0
    """Refused as of no documented form."""
    forgotten_total: int = 0
    """Channels, where the reports of MAX_CHANNELS wait: the one reported longest ago."""
    log_lost_total: int = 0


class StateReports:
    """Reports of one collector. collector: a name that outlives its process, since each name keeps records of its
    own on the stream."""

    def __init__(
        self, log: Log, collector: str, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self.counters = ReportCounters()
        self._log = log
        self._collector = records.text(collector, records.MAX_NAME_CHARS)
        self._clock_ms = clock_ms
        self._since_ms = clock_ms()
        self._stopping = False
        self._waiting: dict[str, records.ChannelState] = {}

    def report(
        self,
        login: str,
        state: str,
        reason: str = "",
        room_id: str | None = None,
        *,
        since_ms: int | None = None,
        tried: Sequence[Attempt] = (),
    ) -> None:
        """The channel stands so now, and since since_ms (ms UTC; None: now). state: lowercase letters and underscores.
        tried: oldest first; the newest MAX_TRIED are told. Nothing is kept of what was sent."""
        if self._stopping:
            return
        now_ms = self._clock_ms()
        state_now = records.ChannelState(
            records.VERSION,
            login,
            room_id,
            self._collector,
            state,
            records.text(reason),
            now_ms if since_ms is None else since_ms,
            now_ms,
            [
                records.Attempt(one.at_ms, records.text(one.what), records.text(one.outcome))
                for one in tried[-records.MAX_TRIED :]
            ],
        )
        try:
            records.encode(state_now)
        except SchemaError as error:
            self.counters.dropped_total += 1
            logger.error("a channel report was dropped: %s", error)
            return
        if self._waiting.pop(login, None) is not None:
            self.counters.replaced_total += 1
        elif len(self._waiting) >= MAX_CHANNELS:
            del self._waiting[next(iter(self._waiting))]
            self.counters.forgotten_total += 1
        self._waiting[login] = state_now

    async def run(self) -> None:
        """Send what waits, once a second, and every HEARTBEAT_S that the collector runs, until cancelled."""
        due_s = time.monotonic()
        while True:
            if time.monotonic() >= due_s and await self._beat("running"):
                due_s = time.monotonic() + HEARTBEAT_S
            await self.flush()
            await asyncio.sleep(SEND_EVERY_S)

    def stop(self) -> None:
        """The collector is being stopped: that its channels are left now is not their own story, and is not told."""
        self._stopping = True

    async def close(self) -> None:
        """After `run`: send what waits, and that the collector stopped; the log gets CLOSE_S for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._waiting and await self.flush():
                    pass
                await self._beat("stopped")

    async def _beat(self, state: records.Liveness) -> bool:
        beat = records.Heartbeat(records.VERSION, self._collector, state, self._since_ms, self._clock_ms())
        try:
            await say(self._log, beat)
        except LogError as lost:
            self.counters.log_lost_total += 1
            logger.warning("nobody can be told that the collector is %s: %s", state, lost)
            return False
        return True

    async def flush(self) -> bool:
        """Send what waits now, at most SEND_AT_MOST reports. False where the log is away: they wait on."""
        batch = dict(list(self._waiting.items())[:SEND_AT_MOST])
        if not batch:
            return True
        try:
            await say(self._log, *batch.values())
        except LogError as lost:
            self.counters.log_lost_total += 1
            logger.warning("%d channel reports wait for the log: %s", len(self._waiting), lost)
            return False
        self.counters.sent_total += len(batch)
        for login, sent in batch.items():
            if self._waiting.get(login) is sent:
                del self._waiting[login]
        return True
