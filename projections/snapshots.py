"""Audience sizes as the discovery saw them, written to viewer_snapshots. No seal and no claim rests on them."""

from collections.abc import Sequence
from typing import Any

from projections.sql import sql
from schemas.control import Snapshot


async def write_snapshots(connection: Any, snapshots: Sequence[Snapshot]) -> None:
    """Add them; one of the same channel and time that is there stays as it is."""
    await connection.executemany(
        sql("insert_snapshot"),
        [(one.channel, one.at_ms, one.login, one.viewers, one.title, one.game, one.started_at_ms) for one in snapshots],
    )
