"""Segments: the tables that a stream's records lie in, made as it grows, dropped whole when trimmed.

Stands under reading (which table holds this offset?), appending (time for the next table?) and trimming. All
partitions of a stream share a segment, so that a batch over many partitions is one COPY; `log.segment` says at which
offset each partition's share begins. A segment goes when every partition has been trimmed past it: dropping a table
unlinks files, where deleting rows would write every page to the WAL once more, and to disk again in vacuum.
"""

from bisect import bisect_right
from typing import Any, NamedTuple

import asyncpg

from streams.log.port import LogRecord
from streams.log.postgres.connections import Connections, Counters
from streams.log.postgres.statements import SQL, Stream, on_segment, segment_table


class _Starts(NamedTuple):
    """One partition's segments, oldest first: where each begins, and its number."""

    first_offsets: list[int]
    segments: list[int]


class Segments:
    """Knows the segments of all streams; what it keeps is a cache of `log.segment`, refreshed when it proves stale."""

    def __init__(self, connections: Connections, counters: Counters, segment_bytes: int) -> None:
        self._connections = connections
        self._counters = counters
        self._segment_bytes = segment_bytes
        self._starts: dict[tuple[int, int], _Starts] = {}
        self._unchecked_bytes: dict[int, int] = {}

    async def read(
        self, connection: Any, stream: Stream, partition: int, start: int, max_records: int, max_bytes: int
    ) -> list[LogRecord]:
        """What is there now: records from `start` on, of one segment, within the bounds; [] where there is none."""
        if (stream.id, partition) not in self._starts:
            await self._refresh(connection, stream)
        while True:
            segment, following = self._locate(stream, partition, start)
            sql = on_segment("read", stream.id, segment)
            try:
                rows = await connection.fetch(sql, stream.id, partition, start, max_records, max_bytes)
            except asyncpg.UndefinedTableError:
                # Dropped since we last looked: what it held is below the first retained offset.
                await self._refresh(connection, stream)
                if self._locate(stream, partition, start)[0] == segment:
                    raise
                continue
            if rows:
                return [LogRecord(*row) for row in rows]
            if following is not None:
                start = following
                continue
            head = await connection.fetchrow(SQL["head"], stream.id, partition)
            if head["segment"] == segment:
                return []
            await self._refresh(connection, stream)

    async def grow(self, stream: Stream, segment: int, written_bytes: int) -> None:
        """Told after each commit what was written where; begins the next segment when this one is large enough."""
        unchecked = self._unchecked_bytes.get(stream.id, 0) + written_bytes
        if unchecked < self._segment_bytes // 16:
            self._unchecked_bytes[stream.id] = unchecked
            return
        self._unchecked_bytes[stream.id] = 0

        async def step(connection: Any) -> bool:
            size = await connection.fetchval(SQL["segment_bytes"], segment_table(stream.id, segment))
            return bool(size >= self._segment_bytes)

        async def rotate(connection: Any) -> tuple[bool, str]:
            heads = await connection.fetch(SQL["lock_heads"], stream.id)
            if any(head["segment"] != segment for head in heads):
                return False, ""  # another process was faster
            await make_segment(connection, stream.id, segment + 1)
            return True, ""

        if await self._connections.use("measuring a segment", step) and await self._connections.transact(
            "making a segment", rotate
        ):
            self._counters.segments_made += 1

    async def trim(self, stream: Stream, partition: int, before_offset: int) -> int:
        """Forget records below before_offset, but none that a consumer group still needs; returns the first retained
        offset. Tables are dropped as soon as no partition needs them."""

        async def forget(connection: Any) -> int:
            return int(await connection.fetchval(SQL["trim"], stream.id, partition, before_offset))

        async def droppable(connection: Any) -> list[int]:
            return [row["segment"] for row in await connection.fetch(SQL["trimmed_segments"], stream.id)]

        first = await self._connections.use("trimming", forget)
        for segment in await self._connections.use("trimming", droppable):

            async def drop(connection: Any, segment: int = segment) -> tuple[None, str]:
                await connection.execute(on_segment("drop_segment", stream.id, segment))
                await connection.execute(SQL["forget_segment"], stream.id, segment)
                return None, ""

            await self._connections.transact("dropping a segment", drop)
            self._counters.segments_dropped += 1
        return first

    def _locate(self, stream: Stream, partition: int, offset: int) -> tuple[int, int | None]:
        """The segment that holds the offset (or would), and where the next one begins if there is one."""
        starts = self._starts[stream.id, partition]
        at = max(0, bisect_right(starts.first_offsets, offset) - 1)
        following = starts.first_offsets[at + 1] if at + 1 < len(starts.first_offsets) else None
        return starts.segments[at], following

    async def _refresh(self, connection: Any, stream: Stream) -> None:
        fresh = {(stream.id, partition): _Starts([], []) for partition in range(stream.partitions)}
        for row in await connection.fetch(SQL["segments"], stream.id):
            starts = fresh[stream.id, row["partition"]]
            starts.first_offsets.append(row["first_offset"])
            starts.segments.append(row["segment"])
        self._starts |= fresh


async def make_segment(connection: Any, stream_id: int, segment: int) -> None:
    """Make a segment and point the heads to it; within a transaction that holds the heads' locks."""
    await connection.execute(on_segment("create_segment", stream_id, segment))
    await connection.execute(SQL["add_segment"], stream_id, segment)
    await connection.execute(SQL["point_heads"], stream_id, segment)
