"""The back half of a collector put together: Intake, outbound, spool, what was said before; with its timers.

Whoever runs the connections takes the Intake from `collecting` and gives lines to it. Everything on disk is in one
folder: `spool/`, `said.json`.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.collect.live.clock import steady_clock_ms
from streams.collect.live.counters import OutboundCounters
from streams.collect.live.intake import FLUSH_MS, LiveIntake
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.outbound import LogOutbound
from streams.collect.live.port import Suppressed, Texts
from streams.collect.live.rechecking import Recheck, nothing_to_learn
from streams.collect.live.said import SAVE_MS, SaidFile
from streams.collect.live.spool import MAX_BYTES, Spool
from streams.collect.live.suppression import NobodySuppressed, Suppression
from streams.log.port import Log

CLOSE_S: Final = 5.0
"""What the log gets at the end to take the rest; then it goes to the spool."""


@dataclass(frozen=True, slots=True)
class Collecting:
    """What the front half needs: the Intake, the clock its times must come from, and the counters."""

    intake: LiveIntake
    clock_ms: Callable[[], int]
    outbound: OutboundCounters
    said: SaidFile
    sender: LogOutbound
    metrics: CollectMetrics

    async def finish(self) -> None:
        """The last flush; the log gets CLOSE_S to take the rest, which goes to the spool otherwise. May be said twice;
        the connections are to be closed before."""
        self.intake.flush(self.clock_ms())
        await self.sender.close(CLOSE_S)


@asynccontextmanager
async def collecting(
    log: Log,
    folder: Path,
    suppressed: Suppressed | None = None,
    *,
    caught_up: Callable[[], Awaitable[None]] = nothing_to_learn,
    spool_bytes: int = MAX_BYTES,
    texts: Texts | None = None,
) -> AsyncIterator[Collecting]:
    """Run the back half on an open log until the block ends. caught_up: of `suppressed`, see Recheck.

    Raises SpoolError where the folder cannot be used; a fault in it ends the block with that error (in an
    ExceptionGroup)."""
    counters = OutboundCounters()
    spool = Spool(folder / "spool", counters, max_bytes=spool_bytes)
    await asyncio.to_thread(spool.open)
    try:
        metrics = CollectMetrics()
        said = SaidFile(folder / "said.json", metrics)
        suppression = Suppression(suppressed or NobodySuppressed())
        recheck = Recheck(suppression, counters, caught_up)
        outbound = LogOutbound(log, spool, counters, durable=said.durable, recheck=recheck)
        clock_ms = steady_clock_ms()
        intake = LiveIntake(secrets.token_hex(8), outbound, suppression, texts=texts, said_to_ms=said.load())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(outbound.run())
            timers = [tasks.create_task(_flushing(intake, clock_ms)), tasks.create_task(_saving(said))]
            back = Collecting(intake, clock_ms, counters, said, outbound, metrics)
            try:
                yield back
            finally:
                for timer in timers:
                    timer.cancel()
                await back.finish()
        said.save()
    finally:
        spool.close()


async def _flushing(intake: LiveIntake, clock_ms: Callable[[], int]) -> None:
    while True:
        await asyncio.sleep(FLUSH_MS / 1000)
        intake.flush(clock_ms())


async def _saving(said: SaidFile) -> None:
    while True:
        await asyncio.sleep(SAVE_MS / 1000)
        await said.save_beside()
