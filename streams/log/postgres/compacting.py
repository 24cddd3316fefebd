"""Compaction of the stream `control` by key, as Kafka does it for a compacted topic: the newest record of a key stays.

Called now and then by whoever keeps the log in order. A record goes when a newer one of its key is there and it has
lain for keep_ms: a reader that is at most so far behind has seen it. Rows are deleted one by one, unlike in trimming,
because what stays lies between what goes; the stream is small.
"""

from typing import Any

from streams.log.postgres.connections import Connections
from streams.log.postgres.statements import SQL, Stream, on_segment, segment_table


async def compact(connections: Connections, stream: Stream, keep_ms: int) -> int:
    """Returns how many records went. Safe beside readers, writers and another compaction."""

    async def segments_of(connection: Any) -> list[int]:
        return sorted({row["segment"] for row in await connection.fetch(SQL["segments"], stream.id)})

    segments = await connections.use("looking for segments", segments_of)
    every = " union all ".join(
        f'select partition, "offset", key from {segment_table(stream.id, segment)}' for segment in segments
    )
    gone = 0
    for segment in segments:
        thin_out = on_segment("compact", stream.id, segment).replace("{records}", every)

        async def step(connection: Any, thin_out: str = thin_out, segment: int = segment) -> int:
            deleted = 0
            for partition in range(stream.partitions):
                # asyncpg gives the command's tag: DELETE and the number of rows.
                tag = await connection.execute(thin_out, partition, keep_ms)
                deleted += int(tag.rpartition(" ")[2])
            if deleted:
                await connection.execute(on_segment("vacuum_segment", stream.id, segment))
            return deleted

        gone += await connections.use(f"compacting {stream.name}", step)
    return gone
