"""The control stream as collectors see it: which channels are wanted and who opted out, seconds after it was said.

In: records of `control` through the log port, which `control_sets` puts together. Out: ControlView, which is
port.WantedChannels and port.Suppressed, and say(), which writes. Where the log is away the last known sets hold, and
reading is tried again until it is back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from schemas import control as records
from streams.collect.live.control_sets import ControlSets
from streams.log.port import CONTROL, Append, Log, LogError

logger: Final = logging.getLogger(__name__)

WAIT_MS: Final = 1_000
FIRST_PAUSE_S: Final = 0.2
LAST_PAUSE_S: Final = 2.0
"""Pauses after a lost log double from the first to the last: a change is seen within 5 s of the log's return."""


class ControlView:
    """Follows the stream: port.WantedChannels and port.Suppressed. Run `follow` as a task beside whoever asks, and
    await `ready` before the first chat line is taken in: until then the opted-out are not known."""

    def __init__(self, log: Log, *, states: bool = False) -> None:
        self.sets = ControlSets(states=states)
        self._log = log
        self._next = 0
        self._ready = asyncio.Event()
        self._news = asyncio.Event()
        self._looked = asyncio.Event()
        self._empty_looks = 0

    async def follow(self) -> None:
        """Until cancelled. Outlives a lost log; raises ControlError where the sets outgrow their bound."""
        pause_s, end = FIRST_PAUSE_S, None
        while True:
            try:
                if end is None:
                    end = (await self._log.span(CONTROL, 0))[1]
                found = await self._log.read(CONTROL, 0, self._next, wait_ms=WAIT_MS if self._ready.is_set() else 0)
                if not found and not self._ready.is_set() and self._next < end:
                    # Compaction may have left nothing up to the end that was asked for; look once more, with patience.
                    found = await self._log.read(CONTROL, 0, self._next, wait_ms=WAIT_MS)
            except LogError as lost:
                self.sets.counters.log_lost_total += 1
                logger.warning("the control stream is away; again in %.1f s: %s", pause_s, lost)
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_PAUSE_S, pause_s * 2)
                continue
            pause_s = FIRST_PAUSE_S
            for record in found:
                self.sets.feed(record.value)
                self._next = record.offset + 1
            if not self._ready.is_set() and (not found or self._next >= end):
                self._ready.set()
                self._tell()
            elif found:
                self._tell()
            self._empty_looks += not found
            self._looked.set()
            self._looked = asyncio.Event()

    async def ready(self) -> None:
        """Wait until everything is known that the stream held when following began."""
        await self._ready.wait()

    async def caught_up(self) -> None:
        """Wait until everything is known that the stream holds now. Raises LogError where the log is away."""
        _, end = await self._log.span(CONTROL, 0)
        # Compaction may have left nothing up to the end; the first empty look may have begun before.
        enough = self._empty_looks + 2
        while self._next < end and self._empty_looks < enough:
            await self._looked.wait()

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The wanted logins once they are known, and again at every change; what changed meanwhile comes as one."""
        await self.ready()
        told: frozenset[str] | None = None
        while True:
            news = self._news
            wanted = self.sets.wanted()
            if wanted != told:
                told = wanted
                yield wanted
                continue
            await news.wait()

    def holds(self, identity: str, login: str) -> bool:
        """See port.Suppressed."""
        return self.sets.holds(identity, login)

    @property
    def version(self) -> int:
        """See port.Suppressed."""
        return self.sets.version

    @property
    def any_by_id(self) -> bool:
        """See port.Suppressed."""
        return self.sets.any_by_id

    @property
    def news(self) -> asyncio.Event:
        """Set when anything more is said; each time another event, so take it before looking."""
        return self._news

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def read_sets(log: Log, *, states: bool = False) -> ControlSets:
    """What the stream says up to now, in one go. Raises LogError."""
    sets, at = ControlSets(states=states), 0
    _, end = await log.span(CONTROL, 0)
    while at < end:
        found = await log.read(CONTROL, 0, at, wait_ms=WAIT_MS)
        if not found:
            break
        for record in found:
            sets.feed(record.value, record.time_ms)
            at = record.offset + 1
    return sets


async def say(log: Log, *said: records.Record) -> None:
    """Append records; on return they are durable. Raises LogError, and SchemaError for what fits no form."""
    if said:
        await log.append(CONTROL, [Append(None, records.key(one), records.encode(one)) for one in said])
