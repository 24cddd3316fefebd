"""Where a projection stands in its stream, stored in the same transaction as what it wrote.

In: a connection inside (advance) or outside (load) of a transaction. Out: positions by partition. The update names the
offset it moves from, so a position that somebody else moved is found out and nothing is applied twice.
"""

from typing import Any, NamedTuple

from projections.errors import PositionMoved, ProjectionError
from projections.port import Projection
from projections.sql import sql


class Stored(NamedTuple):
    """next_offset: everything below was applied. resume_offset (<= next_offset): where reading must start, for the
    parts of an unfinished seal or for what a projection keeps in memory."""

    next_offset: int
    resume_offset: int


async def load(connection: Any, projection: Projection, partitions: int) -> dict[int, Stored]:
    """Positions of partitions 0 .. partitions-1; 0 where nothing was stored. Raises ProjectionError where the tables
    were written by another version of the projection."""
    for partition in range(partitions):
        await connection.execute(
            sql("make_position"), projection.name, projection.stream, partition, projection.version
        )
    rows = await connection.fetch(sql("load_positions"), projection.name, projection.stream)
    for row in rows:
        if row["version"] != projection.version:
            raise ProjectionError(
                f"projection {projection.name!r} stands in version {row['version']}, this program writes version "
                f"{projection.version}; bring it over with: twzrd project --rebuild {projection.name}"
            )
    return {row["partition"]: Stored(row["next_offset"], row["resume_offset"]) for row in rows}


async def advance(
    connection: Any, projection: Projection, partition: int, before: int, after: int, resume_offset: int
) -> None:
    """Move one partition's position; holds its row until the transaction ends. Raises PositionMoved."""
    moved = await connection.fetchval(
        sql("advance_position"), projection.name, projection.stream, partition, before, after, resume_offset
    )
    if moved is None:
        raise PositionMoved(
            f"projection {projection.name!r} is no longer at offset {before} of {projection.stream}/{partition}: "
            "somebody else applied records; this process starts again from what is stored"
        )


async def set_resume(connection: Any, projection: Projection, partition: int, resume_offset: int) -> None:
    """Where reading must start after a restart, as the projection's memory says."""
    await connection.execute(sql("set_resume"), projection.name, projection.stream, partition, resume_offset)
