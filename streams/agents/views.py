"""Live views: how each open epoch stands, in a Faust table per channel|epoch, for people to look at.

Comes in: a tick each second and the shards. Goes out: JSON bytes into the table (and so onto its changelog), at most
once per second and key and WRITES_PER_TICK a tick. No seal depends on it: a view may be lost, late or of a worker that
was stopped, and the next tick mends it.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import faust
import orjson

from schemas.errors import SchemaError
from streams.agents.shards import Shards
from streams.core.outputs import LiveView

TABLE: Final = "live"
WRITES_PER_TICK: Final = 100
"""Faust stops taking records in while more than this many changelog records wait in its producer's buffer."""
SHARE: Final = 20
"""A partition's views cost at most one part in this many of the time: looking at an open epoch folds it."""
CHANGELOG: Final = {
    "cleanup.policy": "compact,delete",
    "message.timestamp.type": "LogAppendTime",
    "retention.ms": "300000",
    "segment.ms": "60000",
    "min.cleanable.dirty.ratio": "0.1",
}
"""No worker reads it (streams.agents.recovery), and whoever else does wants what is open now: keep it short."""


class LiveTable(faust.Table[bytes, bytes]):
    """A table that is written from a timer, not from a stream: it is told the partition instead of asking for the
    stream's current event."""

    writing_partition: int | None = None

    def partition_for_key(self, key: Any) -> int | None:
        """The partition being refreshed; the changelog has the same partitions as chat.events."""
        if self.writing_partition is None:
            raise SchemaError(f"live view {key!r} written outside of a refresh; only LiveViews writes the table")
        return self.writing_partition


class LiveViews:
    """Keeps the table as the shards stand."""

    def __init__(self, table: Any, shards: Shards) -> None:
        """table: of keys `channel|epoch_start_s` and values as `encode` makes them, both bytes."""
        self._table = table
        self._shards = shards
        self._due_s: dict[int, float] = {}
        self._fed: dict[int, int] = {}

    def refresh(self, now_s: float) -> None:
        """Write what changed in partitions that are due. now_s: a monotonic clock."""
        room = WRITES_PER_TICK
        for partition in sorted(self._shards.held(), key=lambda number: self._due_s.get(number, 0.0)):
            shard = self._shards.shard(partition)
            if shard is None or self._due_s.get(partition, 0.0) > now_s:
                continue
            if self._fed.get(partition) == shard.next:
                continue
            if room <= 0:
                self._shards.counters.live_deferred_total += 1
                continue
            started_s = time.perf_counter()
            room -= self._write(partition, list(shard.live_views()), room)
            self._due_s[partition] = now_s + SHARE * (time.perf_counter() - started_s)
            self._fed[partition] = shard.next

    def _write(self, partition: int, views: list[LiveView], room: int) -> int:
        """Bring one partition's rows up to date; returns how many were written, at most `room`."""
        fresh = {key_of(view): encode(view, partition) for view in views}
        gone = [
            key for key, value in self._rows() if key not in fresh and orjson.loads(value)["partition"] == partition
        ]
        changed = [key for key, value in fresh.items() if self._table.get(key) != value]
        todo = [*gone, *changed]
        self._table.writing_partition = partition
        try:
            for key in todo[:room]:
                if key in fresh:
                    self._table[key] = fresh[key]
                else:
                    del self._table[key]
        finally:
            self._table.writing_partition = None
        written = min(len(todo), room)
        self._shards.counters.live_writes_total += written
        self._shards.counters.live_deferred_total += len(todo) - written
        return written

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(self._table.items()))  # a copy: `_write` changes what it reads

    def rows(self) -> list[dict[str, Any]]:
        """All rows of this worker's partitions, by channel and epoch."""
        held = set(self._shards.held())
        found = [orjson.loads(value) for _, value in self._rows()]
        mine = [row for row in found if row["partition"] in held]
        return sorted(mine, key=lambda row: (row["channel"], row["epoch_start_s"]))


def key_of(view: LiveView) -> bytes:
    """The row of a channel's epoch."""
    return f"{view.channel}|{view.epoch_start_s}".encode()


def encode(view: LiveView, partition: int) -> bytes:
    """JSON; weight is a string of digits, as amounts are everywhere on the wire."""
    return orjson.dumps(
        {
            "channel": view.channel,
            "login": view.login,
            "epoch_start_s": view.epoch_start_s,
            "partition": partition,
            "participants": view.participants,
            "messages": view.messages,
            "weight_centi": str(view.weight_centi),
            "frontier_ms": view.frontier_ms,
            "watermark_ms": view.watermark_ms,
            "top": [{"login": login, "messages": messages} for login, messages in view.top],
        }
    )
