"""An operator's ruling on a stopped channel: the seal that contradicted a known one is passed over, and what was held
back is applied. `twzrd project --resume CHANNEL`.

In: a channel and a note. Out: its held entries in the read models, a row of conflict_rulings that rebuilds honour. The
projection's positions are held meanwhile, so a runner waits; all of it is one transaction.
"""

import logging
from typing import Any, Final

from projections.errors import ProjectionError
from projections.sealed import SealedProjection
from projections.source import Entry, joined_again
from projections.sql import sql

logger: Final = logging.getLogger("twzrd.projections")

STEP_ENTRIES: Final = 50
"""Held entries that are decoded at a time."""


async def resume(connection: Any, projection: SealedProjection, channel: str, note: str) -> int:
    """Dismiss the contradicting seal of a stopped channel, keep the known one, go on. Returns how many held entries
    were taken up again (another contradiction among them stops the channel anew). `projection` is an instance of
    one's own. Raises ProjectionError where the channel is not stopped."""
    try:
        async with connection.transaction():
            await connection.execute(sql("lock_standing"), projection.name)
            stop = await connection.fetchrow(sql("end_stop"), channel)
            if stop is None:
                raise ProjectionError(f"channel {channel!r} is not stopped; `twzrd status` lists those that are")
            await connection.execute(
                sql("insert_ruling"), channel, stop["epoch_start_s"], stop["revision"], stop["met_seal_hash"], note
            )
            held = await connection.fetch(sql("take_held"), channel)
            # A channel may have waited for weeks: its seals are decoded a few at a time.
            for at in range(0, len(held), STEP_ENTRIES):
                entries = [_entry(channel, row) for row in held[at : at + STEP_ENTRIES]]
                await projection.apply(connection, entries)
    except BaseException:
        projection.rolled_back()
        raise
    projection.committed()
    logger.info("channel %s goes on; %d held entries were taken up again: %s", channel, len(held), note)
    return len(held)


def _entry(channel: str, row: Any) -> Entry:
    item = joined_again(row["sealed_offset"], row["records"])
    if item is None:
        raise ProjectionError(
            f"held record {row['partition']}/{row['sealed_offset']} of {channel!r} has parts but no header; the table "
            "held_records was changed by hand"
        )
    return Entry(row["partition"], row["sealed_offset"], 0, item)
