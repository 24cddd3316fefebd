"""Runs projections: reads the log, applies in batches, starts again after faults. One process runs each at a time.

In: the log port, projections, a way to connect to Postgres. Out: nothing but their tables. A session-level advisory
lock per projection keeps two processes from doing the work twice; were it lost, the position's guard (see positions)
still keeps the effect single. A second process stands by until the lock is free.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg

from projections import footing, positions, reader
from projections.errors import AlreadyRunning, PositionMoved
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.positions import Stored
from projections.source import Slice
from projections.sql import sql
from projections.step import apply_slices
from streams.log.port import Log, LogError

logger: Final = logging.getLogger("twzrd.projections")
Connect = Callable[[], Awaitable[Any]]
"""Gives a new asyncpg connection of one's own; the caller closes it."""

MAX_BATCH_BYTES: Final = 32 << 20
"""Log bytes taken into one transaction (one slice more at most)."""
QUEUED_SLICES: Final = 4
"""Slices read ahead of the transaction under way; each has at most reader.READ_BYTES, or one record."""
STANDBY_S: Final = 1.0
"""How often a process that stands by tries for the lock."""
FIRST_PAUSE_S: Final = 0.2
LAST_PAUSE_S: Final = 10.0
"""Pauses after a fault double from the first to the last."""
LAG_EVERY_S: Final = 5.0
LEAVE_S: Final = 2.0
"""How long a leaving process waits for the database to take its lock back."""

FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises where the server's goodbye meets a new statement
    OSError,
    LogError,
    PositionMoved,
)
"""What a projection outlives by starting again from its stored position."""


def connector(dsn: str) -> Connect:
    """Connections to one database, named so that an operator knows them in pg_stat_activity."""

    async def connect() -> Any:
        return await asyncpg.connect(dsn, timeout=30, server_settings={"application_name": "twzrd projection"})

    return connect


class ProjectionRunner:
    """Drives one projection."""

    def __init__(self, log: Log, projection: Projection, connect: Connect, metrics: ProjectionMetrics) -> None:
        self._log, self.projection, self._connect, self._metrics = log, projection, connect, metrics
        self._pause_s = FIRST_PAUSE_S

    async def run(self) -> None:
        """Until cancelled. Outlives lost databases and brokers; ends with the exception on anything else, such as
        ProjectionError for tables of another version."""
        while True:
            try:
                async with self._session() as connection:
                    await self._follow(connection, None)
            except AlreadyRunning:
                await asyncio.sleep(STANDBY_S)
            except FAULTS as fault:
                await self._pause_after(fault)

    async def catch_up(self) -> None:
        """Apply what the log holds now, then return. Raises AlreadyRunning, and every fault as it comes."""
        async with self._session() as connection:
            await self._follow(connection, await stream_ends(self._log, self.projection.stream))

    async def _pause_after(self, fault: BaseException) -> None:
        name, pause_s = self.projection.name, self._pause_s
        self._metrics.retries.labels(name).inc()
        logger.warning("projection %s starts again in %.1f s: %s: %s", name, pause_s, type(fault).__name__, fault)
        await asyncio.sleep(pause_s)
        self._pause_s = min(LAST_PAUSE_S, pause_s * 2)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        """A connection that holds the projection's lock."""
        connection = await self._connect()
        try:
            if not await connection.fetchval(sql("try_lock"), self.projection.name):
                raise AlreadyRunning(
                    f"projection {self.projection.name!r} is run by another process; stop that one or leave it the work"
                )
            yield connection
        finally:
            await self._leave(connection)

    async def _leave(self, connection: Any) -> None:
        """Give the lock back at once where the server still listens; it ends with the session in any case."""
        try:
            if not connection.is_closed():
                await connection.fetchval(sql("unlock"), self.projection.name, timeout=LEAVE_S)
        except (*FAULTS, TimeoutError) as fault:
            logger.debug("projection %s left without a word to the database: %s", self.projection.name, fault)
        finally:
            # Not close(): it waits for a server that may be gone.
            connection.terminate()

    async def _follow(self, connection: Any, ends: Mapping[int, int] | None) -> None:
        """Apply from the stored positions on: for ever, or up to `ends`."""
        partitions = await self._log.partitions(self.projection.stream)
        stored = await positions.load(connection, self.projection, partitions)
        await footing.require_tables(connection, self.projection, stored)
        await footing.check_log(self._log, connection, self.projection, stored)
        # What an earlier session left in memory does not count.
        self.projection.rolled_back()
        await self.projection.opened(connection)
        queue: asyncio.Queue[Slice | None] = asyncio.Queue(QUEUED_SLICES)
        readers = asyncio.create_task(self._read_all(stored, ends, queue))
        measuring = asyncio.create_task(self._measure_lag(stored))
        try:
            while batch := await _next_batch(queue, readers):
                await apply_slices(connection, self.projection, batch, stored, self._metrics)
                self._pause_s = FIRST_PAUSE_S
        finally:
            for task in (readers, measuring):
                task.cancel()
            await asyncio.gather(readers, measuring, return_exceptions=True)

    async def _read_all(
        self, stored: Mapping[int, Stored], ends: Mapping[int, int] | None, queue: "asyncio.Queue[Slice | None]"
    ) -> None:
        """Readers of all partitions into one bounded queue; None at the end, when they all came to theirs."""

        async def read(partition: int, start: Stored) -> None:
            until = None if ends is None else ends[partition]
            async for found in reader.slices(self._log, self.projection, partition, start, self._metrics, until):
                await queue.put(found)

        try:
            async with asyncio.TaskGroup() as group:
                for partition, start in list(stored.items()):
                    group.create_task(read(partition, start))
        except* FAULTS as faults:
            # Any of them says that reading must start again; the runner knows single exceptions.
            raise faults.exceptions[0] from faults
        await queue.put(None)

    async def _measure_lag(self, stored: Mapping[int, Stored]) -> None:
        gauge = self._metrics.lag_records.labels(self.projection.name)
        while True:
            # A lost log ends the readers too, and is counted there.
            with contextlib.suppress(*FAULTS):
                ends = await stream_ends(self._log, self.projection.stream)
                gauge.set(sum(max(0, ends[partition] - stored[partition].next_offset) for partition in ends))
            await asyncio.sleep(LAG_EVERY_S)


async def stream_ends(log: Log, stream: str) -> dict[int, int]:
    """The next offset to be written in each partition."""
    return {partition: (await log.span(stream, partition))[1] for partition in range(await log.partitions(stream))}


async def run_all(runners: Sequence[ProjectionRunner]) -> None:
    """Several projections in one process, each in its own session; until cancelled or until one gives up."""
    async with asyncio.TaskGroup() as group:
        for runner in runners:
            group.create_task(runner.run(), name=f"projection {runner.projection.name}")


async def _next_batch(queue: "asyncio.Queue[Slice | None]", readers: "asyncio.Task[None]") -> list[Slice]:
    """All slices at hand up to the bound, at least one; empty where the readers came to their end. Raises what ended
    the readers otherwise."""
    first = asyncio.ensure_future(queue.get())
    try:
        await asyncio.wait((first, readers), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not first.done():
            first.cancel()
    if not first.done():
        await readers
        return [found] if (found := await queue.get()) is not None else []
    batch: list[Slice] = []
    found_next = first.result()
    while found_next is not None:
        batch.append(found_next)
        if sum(one.size_bytes for one in batch) >= MAX_BATCH_BYTES or queue.empty():
            return batch
        found_next = queue.get_nowait()
    if batch:
        # Seen after this batch.
        queue.put_nowait(None)
    return batch
