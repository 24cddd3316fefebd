"""Audience sizes as a collector saw them, written to viewer_snapshots. A port for the collector that asks Twitch which
channels are live: it gives rows, this keeps them. No seal and no claim rests on them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from projections.sql import sql


class ViewerSnapshot(msgspec.Struct, frozen=True):
    """`viewers` (>= 0) watched the channel at at_ms (ms UTC)."""

    channel: str
    login: str
    at_ms: int
    viewers: int


async def write_snapshots(connection: Any, snapshots: Sequence[ViewerSnapshot]) -> None:
    """Add them; one of the same channel and time that is there stays as it is."""
    await connection.executemany(
        sql("insert_snapshot"), [(one.channel, one.at_ms, one.login, one.viewers) for one in snapshots]
    )
