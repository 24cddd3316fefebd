"""The log port: five named streams of keyed records in partitions, appended durably and read by offset.

Stands between collect (which appends `chat.events`), the runners (which read it and append `epoch.sealed`) and the
projections. Adapters: streams.log.postgres, streams.log.kafka; streams.log.archive keeps `chat.events` for good.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from schemas.errors import TwzrdError
from schemas.streams import CHAT_EVENTS, CHAT_TEXT, CONTROL, DEAD, EPOCH_SEALED, STREAMS


class LogError(TwzrdError):
    """The log refused or cannot be reached; the message says which and what to do."""


class LogAway(LogError):
    """The log does not answer; the same may be asked again when it is back."""


class Fenced(LogError):
    """Another worker took the partition over; nothing of this transaction was written."""


class LogRecord(NamedTuple):
    """One record as read. Offsets rise within a partition; gapless on Postgres, maybe with gaps on Kafka."""

    offset: int
    key: bytes
    value: bytes
    time_ms: int
    """When the log took it in (ms UTC); for people and timers, never for sealing."""


class Append(NamedTuple):
    """One record to append. partition None means by key (murmur2, as Kafka's own clients do)."""

    partition: int | None
    key: bytes
    value: bytes


class Log(Protocol):
    """What every adapter does; tests/conformance/streams/log holds them to it."""

    async def open(self) -> None:
        """Connect and create missing streams. Raises LogAway naming the server when it cannot be reached (open may be
        called again), LogError when the partition count differs from the settings'."""

    async def close(self) -> None:
        """Flush and let go of connections; safe to call twice."""

    async def partitions(self, stream: str) -> int:
        """How many partitions the stream has."""

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        """Append in order; on return all are durable. Returns (partition, offset) of each. Concurrent calls may be
        grouped into one commit. Raises LogError when the log is lost; then nothing or all of it may be there (Kafka:
        the beginning of each partition's share, too)."""

    async def read(
        self,
        stream: str,
        partition: int,
        start: int,
        *,
        max_records: int = 1000,
        max_bytes: int = 8 << 20,
        wait_ms: int = 0,
    ) -> list[LogRecord]:
        """Records with offset >= start in order, at most the bounds (but at least one where there is one); waits up
        to wait_ms for the first. Below the first retained offset it starts at that one."""

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        """[first retained offset, next offset to be written)."""

    async def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        """Store a consumer's position: the next offset it needs."""

    async def committed(self, group: str, stream: str, partition: int) -> int | None:
        """The stored position, or None."""


class Transaction(Protocol):
    """One atomic step of a partition's owner."""

    async def append(self, stream: str, records: Sequence[Append]) -> None:
        """As Log.append, visible when the transaction ends."""

    async def commit_position(self, offset: int) -> None:
        """Store the owner's position in the leased partition."""


class Lease(Protocol):
    """Exclusive, fenced ownership of one partition of one stream by one group member. A lost lease makes every
    later transaction raise Fenced."""

    @property
    def partition(self) -> int: ...

    async def position(self) -> int:
        """The stored position; 0 where nothing was stored."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Position and output in one transaction; raises Fenced when the lease is lost, and nothing is written."""

    async def release(self) -> None:
        """Give the partition up at once."""


class LeasingLog(Log, Protocol):
    """A log (Postgres) that also shares partitions out and writes position and output in one transaction."""

    async def acquire(self, group: str, stream: str, worker: str, *, at_most: int | None = None) -> Sequence[Lease]:
        """Take over free or expired partitions (fair share among live workers of the group), keep those held;
        returns all now held. Called once a second; it is also the heartbeat."""


__all__ = [
    "CHAT_EVENTS",
    "CHAT_TEXT",
    "CONTROL",
    "DEAD",
    "EPOCH_SEALED",
    "STREAMS",
    "Append",
    "Fenced",
    "Lease",
    "LeasingLog",
    "Log",
    "LogAway",
    "LogError",
    "LogRecord",
    "Transaction",
]
