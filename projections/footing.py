"""What a session of a projection stands on: its tables are there, and the log is the one that its position names.

Stands between the runner and the projection, before anything is read. Tables that migrations make are there already; a
user's own projection makes its by `create`, at its first start.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from projections.alarms import raise_alarm
from projections.errors import ProjectionError
from projections.port import Projection
from projections.positions import Stored
from projections.sql import sql
from streams.log.port import Log

logger: Final = logging.getLogger("twzrd.projections")


async def require_tables(connection: Any, projection: Projection, stored: Mapping[int, Stored]) -> None:
    """Make the tables where none is there and nothing was applied yet. Raises ProjectionError where some are gone
    that hold what was applied: new ones would lack it."""
    missing = [row["name"] for row in await connection.fetch(sql("tables_missing"), list(projection.tables))]
    if not missing:
        return
    if any(one.next_offset for one in stored.values()) or len(missing) < len(projection.tables):
        raise ProjectionError(
            f"projection {projection.name!r} lacks its tables {', '.join(missing)}, which hold what was applied; "
            "restore them, or drop the others and delete its rows of projection_positions, and it begins anew"
        )
    async with connection.transaction():
        await projection.create(connection)
    logger.info("projection %s made its tables: %s", projection.name, ", ".join(projection.tables))


async def check_log(log: Log, connection: Any, projection: Projection, stored: Mapping[int, Stored]) -> None:
    """Raises ProjectionError where the log ends before the position: what came to lie there would never be applied.
    Where the log was cut behind the position what is lost is an alarm. Raises LogError."""
    for partition, one in stored.items():
        first, end = await log.span(projection.stream, partition)
        where = f"{projection.stream}/{partition}"
        if end < one.next_offset:
            raise ProjectionError(
                f"projection {projection.name!r} was applied up to offset {one.next_offset} of {where}, but the log "
                f"ends at {end}: it is another log, or was cut; name the right one, or take a new database"
            )
        if first > one.next_offset:
            logger.critical(
                "projection %s: the log was cut at offset %d of %s before %d records were applied",
                projection.name,
                first,
                where,
                first - one.next_offset,
            )
            detail = {"next_offset": one.next_offset, "first_offset": first}
            await raise_alarm(connection, "records_gone", f"{projection.name}|{where}|{first}", detail)
