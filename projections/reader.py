"""Reads one partition of a projection's stream from where it stands, and decodes.

In: the log port, stored offsets. Out: slices of entries not applied yet; what lies between resume_offset and
next_offset is shown to the projection's memory (`recall`) and not given out.
"""

from collections.abc import AsyncIterator
from typing import Final

from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.positions import Stored
from projections.source import Decoder, Slice, Undecodable
from streams.log.port import Log

READ_BYTES: Final = 8 << 20
READ_RECORDS: Final = 1000
WAIT_MS: Final = 1000
"""How long one read waits for a first record."""
EMPTY_READS_AT_END: Final = 3
"""A bounded read that finds nothing this often before its end takes it that no more is there (Kafka may have gaps)."""


async def slices(
    log: Log,
    projection: Projection,
    partition: int,
    stored: Stored,
    metrics: ProjectionMetrics,
    until: int | None = None,
) -> AsyncIterator[Slice]:
    """Slices from stored.next_offset on, for ever or up to offset `until` (exclusive). Raises LogError."""
    decoder = Decoder(projection.stream, partition)
    at, empty, given_up = stored.resume_offset, 0, 0
    while until is None or at < until:
        records = await log.read(
            projection.stream, partition, at, max_records=READ_RECORDS, max_bytes=READ_BYTES, wait_ms=WAIT_MS
        )
        passed = False
        if until is not None:
            below = [record for record in records if record.offset < until]
            records, passed = below, len(below) < len(records)
            empty = 0 if records else empty + 1
            if empty == EMPTY_READS_AT_END:
                return
        if not (records or passed):
            continue
        # What is left before `until` has gone from the log: a newer record of its key stands further on (compaction).
        found = decoder.feed(records) if records else decoder.pass_over(until or at)
        at = found.next_offset
        metrics.given_up.labels(projection.name).inc(decoder.given_up_total - given_up)
        given_up = decoder.given_up_total
        fresh = _fresh(projection, found, stored.next_offset)
        if fresh is not None:
            yield fresh


def _fresh(projection: Projection, found: Slice, next_offset: int) -> Slice | None:
    """What of a slice was not applied before; shows the rest to the projection's memory."""
    known = [entry for entry in found.entries if entry.offset < next_offset]
    if known:
        projection.recall([entry for entry in known if not isinstance(entry.item, Undecodable)])
    if found.next_offset <= next_offset:
        return None
    entries = found.entries[len(known) :]
    return Slice(found.partition, entries, found.next_offset, found.resume_offset, found.size_bytes)
