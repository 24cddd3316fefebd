"""One step of a projection: some slices of its stream, their positions and their effect in one transaction.

Stands between the reader (projections.reader) and the projection. Used by the runner and by rebuilds alike.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from projections import positions
from projections.alarms import raise_alarm
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.positions import Stored
from projections.source import Entry, Slice, Undecodable

logger: Final = logging.getLogger("twzrd.projections")


async def apply_slices(
    connection: Any,
    projection: Projection,
    slices: Sequence[Slice],
    stored: dict[int, Stored],
    metrics: ProjectionMetrics,
) -> None:
    """Apply slices (in order within a partition) and bring `stored` forward. Where anything fails nothing is written,
    the projection is told so, and the exception goes on."""
    moved: dict[int, Stored] = {}
    for one in slices:
        moved[one.partition] = Stored(one.next_offset, one.resume_offset)
    entries = [entry for one in slices for entry in one.entries]
    readable = [entry for entry in entries if not isinstance(entry.item, Undecodable)]
    try:
        async with connection.transaction():
            # First of all, so that rebuilds and rulings, which hold these rows, never see half a step.
            for partition in sorted(moved):
                before, after = stored[partition].next_offset, moved[partition]
                await positions.advance(
                    connection, projection, partition, before, after.next_offset, after.resume_offset
                )
            for entry in entries:
                if isinstance(entry.item, Undecodable):
                    await _note_undecodable(connection, projection, entry, entry.item)
            if readable:
                await projection.apply(connection, readable)
            for partition in sorted(moved):
                low = projection.low_water(partition)
                if low is not None and low < moved[partition].resume_offset:
                    await positions.set_resume(connection, projection, partition, low)
    except BaseException:
        projection.rolled_back()
        raise
    projection.committed()
    stored.update(moved)
    metrics.records.labels(projection.name).inc(len(readable))
    metrics.undecodable.labels(projection.name).inc(len(entries) - len(readable))


async def _note_undecodable(connection: Any, projection: Projection, entry: Entry, item: Undecodable) -> None:
    where = f"{projection.stream}/{entry.partition}/{entry.offset}"
    logger.error("projection %s passed over the record at %s: %s", projection.name, where, item.reason)
    detail = {"reason": item.reason, "hash": item.hash, "length": item.length}
    await raise_alarm(connection, "undecodable_record", where, detail)
