"""Appending: records in, offsets out, many calls to one commit.

Stands between callers of append (and owners' transactions) and the segment tables. `insert` does the work inside a
transaction: it moves the heads forward, which gives gapless offsets and makes writers of one partition wait for each
other's commit, so that offsets become visible in order; then it copies the rows in. `GroupWriter` collects concurrent
calls into transactions: while one commits, the next one gathers.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from streams.log.partitioner import partition_of
from streams.log.port import Append, LogError
from streams.log.postgres.connections import Connections, Counters
from streams.log.postgres.statements import SQL, Stream, segment_table

_COLUMNS: Final = ("partition", "offset", "time_ms", "key", "value")


class Outgoing(NamedTuple):
    """The records of one call, each with its partition; never split over two transactions."""

    stream: Stream
    records: list[tuple[int, bytes, bytes]]
    size_bytes: int


class Written(NamedTuple):
    """What one stream got from a transaction."""

    stream: Stream
    segment: int
    partitions: list[int]
    size_bytes: int


def address(stream: Stream, records: Sequence[Append], max_record_bytes: int) -> Outgoing:
    """Give each record its partition. Raises LogError for a partition that is not there, a record over the bound,
    or one that is not bytes."""
    addressed = []
    total_bytes = 0
    for partition, key, value in records:
        if partition is None:
            partition = partition_of(key, stream.partitions)
        elif not 0 <= partition < stream.partitions:
            raise LogError(f"stream {stream.name} has partitions 0..{stream.partitions - 1}, not {partition}")
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            # Found here and not by the driver: there it would fail every call of the same commit.
            raise LogError(f"key and value are {type(key).__name__} and {type(value).__name__}; encode them to bytes")
        size = len(key) + len(value)
        if size > max_record_bytes:
            raise LogError(
                f"a record of {size} bytes for stream {stream.name} is over the log's bound of {max_record_bytes}; "
                "split it, or raise the bound"
            )
        total_bytes += size
        addressed.append((partition, key, value))
    return Outgoing(stream, addressed, total_bytes)


async def insert(connection: Any, batch: Sequence[Outgoing]) -> tuple[list[list[tuple[int, int]]], list[Written]]:
    """Write the batch within the open transaction; gives (partition, offset) of each record, and what went where."""
    counts: dict[tuple[int, int], int] = {}
    for stream, records, _ in batch:
        for partition, _, _ in records:
            place = stream.id, partition
            counts[place] = counts.get(place, 0) + 1
    if not counts:
        return [[] for _ in batch], []
    heads = await connection.fetch(
        SQL["advance_heads"], [at[0] for at in counts], [at[1] for at in counts], list(counts.values())
    )
    following = {(head["stream_id"], head["partition"]): head["first"] for head in heads}
    segments = {head["stream_id"]: head["segment"] for head in heads}
    time_ms = heads[0]["time_ms"]
    rows: dict[int, list[tuple[int, int, int, bytes, bytes]]] = {stream_id: [] for stream_id in segments}
    placed: list[list[tuple[int, int]]] = []
    streams: dict[int, tuple[Stream, int]] = {}
    for stream, records, size_bytes in batch:
        places = []
        for partition, key, value in records:
            offset = following[stream.id, partition]
            following[stream.id, partition] = offset + 1
            rows[stream.id].append((partition, offset, time_ms, key, value))
            places.append((partition, offset))
        placed.append(places)
        streams[stream.id] = stream, streams.get(stream.id, (stream, 0))[1] + size_bytes
    for stream_id, segment in segments.items():
        schema, table = segment_table(stream_id, segment).split(".")
        await connection.copy_records_to_table(table, schema_name=schema, columns=_COLUMNS, records=rows[stream_id])
    written = [
        Written(streams[stream_id][0], segment, [at[1] for at in counts if at[0] == stream_id], streams[stream_id][1])
        for stream_id, segment in segments.items()
    ]
    return placed, written


@dataclass(slots=True)
class _Call:
    outgoing: Outgoing
    done: "asyncio.Future[list[tuple[int, int]]]"


Announce = Callable[[Iterable[Written]], str]
"""Gives the SQL that tells other processes; sent right behind the commit."""
Committed = Callable[[Iterable[Written]], Awaitable[None]]
"""Called after the commit: wakes readers here, begins new segments."""


class GroupWriter:
    """One background task that writes what concurrent calls appended, in order of the calls.

    The queue holds at most max_queued_bytes (one call more where a single one is larger); beyond, append waits.
    """

    def __init__(
        self,
        connections: Connections,
        counters: Counters,
        announce: Announce,
        committed: Committed,
        *,
        max_batch_records: int,
        max_batch_bytes: int,
        max_queued_bytes: int,
    ) -> None:
        self._connections = connections
        self._counters = counters
        self._announce = announce
        self._committed = committed
        self._max_batch_records = max_batch_records
        self._max_batch_bytes = max_batch_bytes
        self._max_queued_bytes = max_queued_bytes
        self._queue: deque[_Call] = deque()
        self._queued_bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._door = asyncio.Lock()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="log group writer")

    async def append(self, outgoing: Outgoing) -> list[tuple[int, int]]:
        """Durable on return. A cancelled call may have been written or not."""
        async with self._door:  # first come, first served, also while waiting for room
            if self._queue and self._queued_bytes + outgoing.size_bytes > self._max_queued_bytes:
                self._counters.waits_for_room += 1
                while self._queue and self._queued_bytes + outgoing.size_bytes > self._max_queued_bytes:
                    self._room.clear()
                    await self._room.wait()
            if self._closed:
                raise LogError(f"the log on Postgres at {self._connections.server} is closed; open it first")
            call = _Call(outgoing, asyncio.get_running_loop().create_future())
            self._queue.append(call)
            self._queued_bytes += outgoing.size_bytes
            self._filled.set()
        return await call.done

    async def close(self) -> None:
        """Write what is queued, then end."""
        self._closed = True
        self._filled.set()
        await self._task

    async def _run(self) -> None:
        try:
            while self._queue or not self._closed:
                batch = self._next_batch()
                if batch:
                    await self._write(batch)
                else:
                    self._filled.clear()
                    await self._filled.wait()
        finally:
            self._closed = True
            self._room.set()
            _fail(self._queue, "the log was closed before this was written; append it again")
            self._queue.clear()

    def _next_batch(self) -> list[_Call]:
        batch: list[_Call] = []
        records = size_bytes = 0
        while self._queue:
            call = self._queue[0]
            if call.done.done():  # its caller was cancelled
                self._queued_bytes -= self._queue.popleft().outgoing.size_bytes
                continue
            records += len(call.outgoing.records)
            size_bytes += call.outgoing.size_bytes
            if batch and (records > self._max_batch_records or size_bytes > self._max_batch_bytes):
                break
            batch.append(self._queue.popleft())
            self._queued_bytes -= call.outgoing.size_bytes
        self._room.set()
        return batch

    async def _write(self, batch: list[_Call]) -> None:
        async def step(connection: Any) -> tuple[tuple[list[list[tuple[int, int]]], list[Written]], str]:
            placed, written = await insert(connection, [call.outgoing for call in batch])
            return (placed, written), self._announce(written)

        try:
            placed, written = await self._connections.transact("appending", step)
        except LogError as error:
            _fail(batch, str(error))
            return
        except BaseException as error:
            _fail(batch, f"the log's writer ended by {type(error).__name__}; open the log anew")
            raise
        self._counters.commits += 1
        self._counters.appended_records += sum(len(places) for places in placed)
        self._counters.appended_bytes += sum(call.outgoing.size_bytes for call in batch)
        for call, places in zip(batch, placed, strict=True):
            if not call.done.done():
                call.done.set_result(places)
        await self._committed(written)


def _fail(calls: Iterable[_Call], message: str) -> None:
    for call in calls:
        if not call.done.done():
            # Each caller gets its own exception: one object raised in many tasks tangles their tracebacks.
            call.done.set_exception(LogError(message))
