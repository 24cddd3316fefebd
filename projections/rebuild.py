"""Builds a projection again beside the one that stands, compares, then swaps: `twzrd project --rebuild NAME`.

In: the log from its first record, the standing tables. Out: the new tables in the old ones' place, in one transaction.
Where their content differs the old ones stay and RebuildDiffers says in what. A runner may go on meanwhile: the last
records are applied and the swap is done while its positions are held, so it waits for that moment only.

The new tables are built in a schema of their own; registries, alarms and rulings are not rebuilt but used (and what a
rebuild meets again is already in them).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from projections import positions, reader
from projections.errors import AlreadyRunning, ProjectionError, RebuildDiffers
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.positions import Stored
from projections.runner import FAULTS, Connect
from projections.sql import sql
from projections.step import apply_slices
from projections.swap import swap_tables
from streams.log.port import Log

logger: Final = logging.getLogger("twzrd.projections")
SHOWN_ROWS: Final = 3
SHOWN_CHARS: Final = 300
"""How much of a difference an error quotes: rows of a side, characters of a row."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """digests: of each table, as they stand now; records below `positions` are in them."""

    digests: Mapping[str, str]
    positions: Mapping[int, int]


async def rebuild(
    log: Log, projection: Projection, connect: Connect, metrics: ProjectionMetrics, *, replace: bool = False
) -> Rebuilt:
    """Rebuild one projection. `projection` is an instance of its own, not the one that a runner drives; `metrics`
    should count into a registry of their own. Where what stands is of another version, content may differ and the new
    tables are taken; so with `replace`, for tables that were damaged. Raises RebuildDiffers; AlreadyRunning;
    ProjectionError where nothing stands yet or the log ends too early; LogError."""
    schema = f"rebuild_{projection.name}"
    connection = await connect()
    try:
        if not await connection.fetchval(sql("try_lock"), schema):
            raise AlreadyRunning(
                f"projection {projection.name!r} is being rebuilt by another process; wait for its end"
            )
        await connection.execute(sql("make_rebuild_schema").format(schema=schema))
        await projection.create(connection)
        await connection.execute(sql("clone_table").format(table="projection_positions"))
        # What was applied until now, while the runner goes on; then the rest, while it waits.
        stored = await positions.load(connection, projection, await log.partitions(projection.stream))
        targets, _ = await _standing(connection, projection)
        await _apply_until(log, projection, connection, metrics, stored, targets)
        async with connection.transaction():
            await connection.execute(sql("lock_standing"), projection.name)
            targets, version = await _standing(connection, projection)
            await _apply_until(log, projection, connection, metrics, stored, targets)
            try:
                digests = await _compare(connection, projection, schema, version)
            except RebuildDiffers as differs:
                if not replace:
                    raise
                logger.warning("the new tables are taken as was asked: %s", differs)
                digests = await projection.digest(connection)
            await swap_tables(connection, projection.tables, schema)
            await connection.execute(sql("set_standing_version"), projection.name, projection.version)
        logger.info("projection %s was rebuilt", projection.name)
        return Rebuilt(digests, targets)
    finally:
        await _clear(connection, schema)


async def _standing(connection: Any, projection: Projection) -> tuple[dict[int, int], int]:
    """Positions and version of the projection that stands."""
    rows = await connection.fetch(sql("standing_positions"), projection.name, projection.stream)
    if not rows:
        raise ProjectionError(f"projection {projection.name!r} has no position; run it once before it is rebuilt")
    return {row["partition"]: row["next_offset"] for row in rows}, rows[0]["version"]


async def _apply_until(
    log: Log,
    projection: Projection,
    connection: Any,
    metrics: ProjectionMetrics,
    stored: dict[int, Stored],
    targets: Mapping[int, int],
) -> None:
    for partition, target in targets.items():
        async for found in reader.slices(log, projection, partition, stored[partition], metrics, target):
            await apply_slices(connection, projection, [found], stored, metrics)
        if stored[partition].next_offset < target:
            raise ProjectionError(
                f"the log ends at offset {stored[partition].next_offset} of {projection.stream}/{partition}, but "
                f"{projection.name!r} was applied up to {target}: is this the log that it was made from?"
            )


async def _compare(connection: Any, projection: Projection, schema: str, version: int) -> Mapping[str, str]:
    """Digests of the new tables. Raises RebuildDiffers where the old ones have others and the version is the same."""
    new = await projection.digest(connection)
    await connection.execute("set local search_path to public")
    old = await projection.digest(connection)
    await connection.execute(f"set local search_path to {schema}, public")
    differing = [table for table in new if new[table] != old.get(table)]
    if not differing or version != projection.version:
        return new
    lines = [
        f"projection {projection.name!r}: the rebuilt tables differ from those that stand, which are kept. Either the "
        "log was cut, or the code gives other rows now (then raise the projection's version), or what stands was "
        "damaged (then add --replace)"
    ]
    for table in differing:
        lines.append(f"{table}: stands {old.get(table)}, rebuilt {new[table]}")
        if table in projection.tables:
            lines += await _shown(connection, table, schema)
    raise RebuildDiffers("\n".join(lines))


async def _shown(connection: Any, table: str, schema: str) -> list[str]:
    """Some rows that only one side has."""
    lines = []
    for label, here, there in (("only before", "public", schema), ("only rebuilt", schema, "public")):
        query = sql("rows_only_in").format(table=table, here=here, there=there)
        for row in await connection.fetch(query, SHOWN_CHARS, SHOWN_ROWS):
            lines.append(f"  {label}: {row['shown']}")
    return lines


async def _clear(connection: Any, schema: str) -> None:
    try:
        if not connection.is_closed():
            await connection.execute(sql("drop_rebuild_schema").format(schema=schema))
    except FAULTS as fault:
        logger.warning("schema %s is left behind (%s); the next rebuild takes it away", schema, fault)
    finally:
        connection.terminate()
