"""The Postgres log: the port's LeasingLog on asyncpg, put together from its parts.

Stands behind streams.log.port. In: a DSN and bounds. Out: durable, gapless, fenced streams, whose partitions several
processes append to, read and share out. The parts: connections (one step, retried where that is safe), appending
(group commit), segments (where records lie), waking (who waits), leases (who owns).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.streams import CHAT_EVENTS, CONTROL, EPOCH_SEALED, STREAMS
from streams.log import migrations
from streams.log.port import Append, LogError, LogRecord
from streams.log.postgres.appending import GroupWriter, Written, address
from streams.log.postgres.compacting import compact
from streams.log.postgres.connections import Connections, Counters
from streams.log.postgres.leases import Leases, PostgresLease, unknown_stream
from streams.log.postgres.segments import Segments, make_segment
from streams.log.postgres.statements import SQL, Stream
from streams.log.postgres.waking import Waking

MIN_STALL_MS: Final = 1_000
"""A busy process may pause this long inside a transaction, however short its leases are."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers that keep the adapter bounded; the defaults suit one machine."""

    connections: int = 10
    record_bytes: int = 8 << 20
    batch_records: int = 1_000
    """Records of one commit, unless a single call brings more."""
    batch_bytes: int = 8 << 20
    queued_bytes: int = 32 << 20
    """Waiting to be committed; beyond, append waits."""
    segment_bytes: int = 1 << 30
    """About where a segment table ends; trimming gives disk space back in pieces of this size."""
    poll_ms: int = 500
    """How often a waiting reader looks although nobody woke it."""
    gather_ms: int = 20
    """A reader that just took less than gather_bytes off a partition's end, and may wait, comes again no sooner: on a
    busy stream it would else ask after each commit for a handful of records. A quiet stream wakes it at once."""
    gather_bytes: int = 1 << 20


class PostgresLog:
    """streams.log.port.LeasingLog. partitions: of chat.events and epoch.sealed, 1..1024, fixed when first opened."""

    def __init__(
        self, dsn: str, *, partitions: int = 8, lease_ttl_ms: int = 5_000, bounds: Bounds | None = None
    ) -> None:
        if not 1 <= partitions <= 1024 or not 100 <= lease_ttl_ms <= 3_600_000:
            raise LogError(
                f"partitions must lie in 1..1024 (is {partitions}) and lease_ttl_ms in 100..3600000 (is {lease_ttl_ms})"
            )
        self.counters = Counters()
        self._bounds = bounds or Bounds()
        self._wanted = {name: partitions if name in (CHAT_EVENTS, EPOCH_SEALED) else 1 for name in STREAMS}
        self._streams: dict[str, Stream] = {}
        self._connections = Connections(
            dsn, self.counters, max_size=self._bounds.connections, max_stall_ms=max(lease_ttl_ms, MIN_STALL_MS)
        )
        self._segments = Segments(self._connections, self.counters, self._bounds.segment_bytes)
        self._waking = Waking(self._connections, self.counters)
        self._leases = Leases(
            self._connections,
            self.counters,
            self._waking.announcement,
            self._committed,
            self._streams,
            ttl_ms=lease_ttl_ms,
            max_record_bytes=self._bounds.record_bytes,
        )
        self._writer: GroupWriter | None = None
        self._paced: dict[tuple[int, int], tuple[int, float]] = {}
        """Where a small read ended, by partition, and when the next from there is due."""

    async def open(self) -> None:
        """See Log.open; runs the log's migrations first. Safe to call on an open log."""
        if self._writer is not None:
            return
        try:
            connection = await self._connections.connect()
            try:
                with self._connections.told("setting up"):
                    await migrations.apply(connection, migrations.LOG_DIRECTORY, migrations.LOG_NAME)
            finally:
                connection.terminate()
            await self._connections.open()
            await self._connections.transact("setting up", self._set_up_streams)
            await self._waking.open()
        except BaseException:
            await self._waking.close()
            await self._connections.close()
            raise
        self._writer = GroupWriter(
            self._connections,
            self.counters,
            self._waking.announcement,
            self._committed,
            max_batch_records=self._bounds.batch_records,
            max_batch_bytes=self._bounds.batch_bytes,
            max_queued_bytes=self._bounds.queued_bytes,
        )

    async def close(self) -> None:
        """Write what is queued, give leases up, let go of connections; safe to call twice, and without a server."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            await writer.close()
            await self._leases.release_all()
        except LogError:
            # Without a server the leases expire by themselves.
            self.counters.swallowed_errors += 1
        finally:
            await self._waking.close()
            await self._connections.close()

    async def partitions(self, stream: str) -> int:
        return self._stream(stream).partitions

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        """See Log.append. One call is one transaction's, whole: on LogError all of it or nothing is there."""
        outgoing = address(self._stream(stream), records, self._bounds.record_bytes)
        if self._writer is None:
            raise LogError(f"the log on Postgres at {self._connections.server} is closed; open it first")
        return await self._writer.append(outgoing) if records else []

    async def read(
        self,
        stream: str,
        partition: int,
        start: int,
        *,
        max_records: int = 1000,
        max_bytes: int = 8 << 20,
        wait_ms: int = 0,
    ) -> list[LogRecord]:
        """See Log.read. max_bytes bounds keys and values together."""
        at = self._place(stream, partition)
        _check_offset(start)
        if max_records < 1:
            raise LogError(f"max_records is {max_records}; ask for at least 1")

        async def look(connection: Any) -> list[LogRecord]:
            return await self._segments.read(connection, at, partition, start, max_records, max_bytes)

        clock = asyncio.get_running_loop().time
        until = clock() + wait_ms / 1000
        offset, due = self._paced.get((at.id, partition), (start, 0.0))
        if offset == start and (pause_s := min(due, until) - clock()) > 0:
            self.counters.paced_reads += 1
            await asyncio.sleep(pause_s)
        woken = self._waking.enter(at.id, partition)
        try:
            while True:
                woken.clear()
                records = await self._connections.use(f"reading {stream}", look)
                left_s = until - clock()
                if len(records) == max_records or sum(len(one.value) for one in records) >= self._bounds.gather_bytes:
                    self._paced.pop((at.id, partition), None)  # there may well be more
                elif records:
                    due = clock() + self._bounds.gather_ms / 1000
                    self._paced[at.id, partition] = records[-1].offset + 1, due
                if records or left_s <= 0:
                    return records
                try:
                    async with asyncio.timeout(min(left_s, self._bounds.poll_ms / 1000)):
                        await woken.wait()
                except TimeoutError:
                    self.counters.empty_polls += 1
        finally:
            self._waking.leave(at.id, partition, woken)

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        at = self._place(stream, partition)

        async def step(connection: Any) -> tuple[int, int]:
            head = await connection.fetchrow(SQL["head"], at.id, partition)
            return head["first_offset"], head["next_offset"]

        return await self._connections.use(f"asking for the span of {stream}", step)

    async def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        at = self._place(stream, partition)
        _check_offset(offset)

        async def step(connection: Any) -> None:
            await connection.execute(SQL["commit_position"], group, at.id, partition, offset)

        await self._connections.use("storing a position", step)

    async def committed(self, group: str, stream: str, partition: int) -> int | None:
        at = self._place(stream, partition)

        async def step(connection: Any) -> int | None:
            found: int | None = await connection.fetchval(SQL["position"], group, at.id, partition)
            return found

        return await self._connections.use("reading a position", step)

    async def acquire(self, group: str, stream: str, worker: str, *, at_most: int | None = None) -> list[PostgresLease]:
        """See LeasingLog.acquire. Also gives partitions up where the worker holds more than its fair share; a lease
        no longer in the answer is lost."""
        return await self._leases.acquire(group, self._stream(stream), worker, at_most)

    async def trim(self, stream: str, partition: int, before_offset: int) -> int:
        """Forget records below before_offset; returns the first retained offset, which is lower than asked where a
        consumer group (the archive is one) has not committed that far. Disk space comes back by whole segments, once
        every partition of the stream has been trimmed past them."""
        at = self._place(stream, partition)
        _check_offset(before_offset)
        return await self._segments.trim(at, partition, before_offset)

    async def compact(self, stream: str, *, keep_ms: int = 86_400_000) -> int:
        """Of `control` alone: delete records older than keep_ms that a newer one of their key replaces; returns how
        many. The newest record of every key stays, and so do all offsets. See streams.log.postgres.compacting."""
        if stream != CONTROL or keep_ms < 0:
            raise LogError(f"{stream} cannot be compacted to {keep_ms} ms; only {CONTROL} can, to 0 or more")
        gone = await compact(self._connections, self._stream(stream), keep_ms)
        self.counters.compacted_records += gone
        return gone

    async def _set_up_streams(self, connection: Any) -> tuple[None, str]:
        await connection.execute(SQL["lock_setup"])
        found = {row["name"]: Stream(*row) for row in await connection.fetch(SQL["streams"])}
        for name, wanted in self._wanted.items():
            if name not in found:
                stream_id = await connection.fetchval(SQL["add_stream"], name, wanted)
                await connection.execute(SQL["add_heads"], stream_id, wanted)
                await make_segment(connection, stream_id, 0)
                found[name] = Stream(stream_id, name, wanted)
            elif found[name].partitions != wanted:
                there = found[name].partitions
                raise LogError(
                    f"stream {name} at {self._connections.server} has {there} partitions, the settings say {wanted}; "
                    f"the count is fixed when the log is made: set it to {there}, or use a new database"
                )
        self._streams.update(found)
        return None, ""

    async def _committed(self, written: Iterable[Written]) -> None:
        self._waking.wake(written)
        for one in written:
            try:
                await self._segments.grow(one.stream, one.segment, one.size_bytes)
            except LogError:
                # What was written is durable; the next commit measures again.
                self.counters.swallowed_errors += 1

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise unknown_stream(name, self._streams)
        return self._streams[name]

    def _place(self, name: str, partition: int) -> Stream:
        stream = self._stream(name)
        if not 0 <= partition < stream.partitions:
            raise LogError(f"stream {name} has partitions 0..{stream.partitions - 1}, not {partition}")
        return stream


def _check_offset(offset: int) -> None:
    if not 0 <= offset < 1 << 63:
        raise LogError(f"offset {offset} lies outside 0..2^63-1; pass one that the log gave, or the next after it")
