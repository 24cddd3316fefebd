"""The log in memory, for tests of whatever stands on the log: the port's rules, no server, gaps and faults on demand.

It passes the conformance suite of the real adapters (tests/conformance/streams/log), so what a test finds on it holds
for them. In: appends, and what a test puts there. Out: records, and what the test asks to see.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.log.partitioner import partition_of
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, STREAMS, Append, LogError, LogRecord

RECORD_BYTES = 8 << 20
"""Bound of a record's key and value together, as on Postgres."""


@dataclass
class Kept:
    """One partition: [first, next) with the records that are there, rising."""

    first: int = 0
    next: int = 0
    records: list[LogRecord] = field(default_factory=list)

    def from_offset(self, offset: int) -> int:
        """Index of the first record at or after the offset."""
        return bisect_left(self.records, offset, key=lambda record: record.offset)


class Memory:
    """What outlives a client; several clients may share one, as processes share a server."""

    def __init__(self) -> None:
        self.partitions: dict[str, list[Kept]] = {}
        self.positions: dict[tuple[str, str, int], int] = {}
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Wake all who wait."""
        self._news.set()
        self._news = asyncio.Event()

    async def told(self) -> None:
        """Wait until something has changed."""
        await self._news.wait()


class MemoryLog:
    """Implements streams.log.port.Log; partitions: of chat.events and epoch.sealed.

    A log that shares no memory is open as it is made, as plain fixtures want it; one that does must be opened, which
    refuses another partition count. `fail` names calls to refuse from now on ("read", "commit", ...).
    """

    def __init__(
        self,
        partitions: int = 2,
        *,
        memory: Memory | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        if partitions < 1:
            raise LogError(f"partitions is {partitions}; a stream has at least 1")
        self._count = partitions
        self._memory = memory or Memory()
        self._clock_ms = clock_ms
        self._is_open = False
        self.fail: set[str] = set()
        self.commits: list[tuple[str, str, int, int]] = []
        """What this client has committed: (group, stream, partition, offset), in order."""
        if memory is None:
            self._join()

    # ---- the port ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._refuse_on_demand("open")
        self._join()

    async def close(self) -> None:
        self._is_open = False
        self._memory.tell()

    async def partitions(self, stream: str) -> int:
        self._check("partitions")
        return len(self._stream(stream))

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        self._check("append")
        count = len(self._stream(stream))
        addressed = [(self._place(stream, count, one), one) for one in records]
        placed = []
        for partition, (_, key, value) in addressed:
            kept = self._kept(stream, partition)
            placed.append((partition, kept.next))
            self.put(stream, partition, LogRecord(kept.next, key, value, self._clock_ms()))
        await asyncio.sleep(0)  # a server would let others go on meanwhile
        return placed

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
        self._check("read")
        kept = self._kept(stream, partition)
        if start < 0 or max_records < 1:
            raise LogError(f"read from offset {start} of at most {max_records} records: they start at 0 and 1")
        await asyncio.sleep(0)  # a server would let others go on meanwhile
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while kept.from_offset(start) == len(kept.records) and wait_ms:
                    await self._memory.told()
                    self._check("read")
        except TimeoutError:
            pass  # the answer is then what is there: nothing
        found: list[LogRecord] = []
        left_bytes = max_bytes
        index = kept.from_offset(start)
        for record in kept.records[index : index + max_records]:
            left_bytes -= len(record.key) + len(record.value)
            if found and left_bytes < 0:
                break
            found.append(record)
        return found

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        self._check("span")
        kept = self._kept(stream, partition)
        return kept.first, kept.next

    async def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        self._check("commit")
        self._kept(stream, partition)
        if offset < 0:
            raise LogError(f"position {offset} of group {group} cannot be: offsets start at 0")
        self._memory.positions[group, stream, partition] = offset
        self.commits.append((group, stream, partition, offset))

    async def committed(self, group: str, stream: str, partition: int) -> int | None:
        self._check("committed")
        self._kept(stream, partition)
        return self._memory.positions.get((group, stream, partition))

    # ---- what tests do to it -----------------------------------------------------------------------------------------

    @property
    def positions(self) -> dict[tuple[str, str, int], int]:
        """All stored positions, by (group, stream, partition)."""
        return self._memory.positions

    def records(self, stream: str, partition: int = 0) -> list[LogRecord]:
        """All records that are there."""
        return list(self._kept(stream, partition).records)

    def put(self, stream: str, partition: int, record: LogRecord) -> None:
        """Put a record at its own offset, leaving a gap where that is not the next. Raises LogError below the next."""
        kept = self._kept(stream, partition)
        if record.offset < kept.next:
            raise LogError(f"{stream}[{partition}] goes on at {kept.next}; a record cannot be put at {record.offset}")
        kept.records.append(record)
        kept.next = record.offset + 1
        self._memory.tell()

    def leave_gap(self, stream: str, partition: int, offsets: int = 1) -> None:
        """Use up offsets without records, as transaction markers and compaction on Kafka do."""
        self._kept(stream, partition).next += offsets

    def delete_before(self, stream: str, partition: int, offset: int) -> None:
        """What retention does."""
        kept = self._kept(stream, partition)
        del kept.records[: kept.from_offset(offset)]
        kept.first = min(max(kept.first, offset), kept.next)

    # ---- rules -------------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        for stream in STREAMS:
            wanted = self._count if stream in (CHAT_EVENTS, EPOCH_SEALED) else 1
            there = len(self._memory.partitions.setdefault(stream, [Kept() for _ in range(wanted)]))
            if there != wanted:
                raise LogError(f"stream {stream} in memory has {there} partitions, the settings say {wanted}")
        self._is_open = True

    def _stream(self, stream: str) -> list[Kept]:
        if stream not in STREAMS:
            raise LogError(f"stream {stream!r} does not exist; streams are {', '.join(STREAMS)}")
        return self._memory.partitions[stream]

    def _kept(self, stream: str, partition: int) -> Kept:
        partitions = self._stream(stream)
        if not 0 <= partition < len(partitions):
            raise LogError(f"{stream} has partitions 0..{len(partitions) - 1}; {partition} does not exist")
        return partitions[partition]

    def _place(self, stream: str, count: int, record: Append) -> int:
        partition, key, value = record
        if len(key) + len(value) > RECORD_BYTES:
            size = len(key) + len(value)
            raise LogError(f"a record of {size} bytes for {stream} is over the bound of {RECORD_BYTES}; split it")
        if partition is None:
            return partition_of(key, count)
        self._kept(stream, partition)
        return partition

    def _check(self, call: str) -> None:
        self._refuse_on_demand(call)
        if not self._is_open:
            raise LogError("the log in memory is not open; call open() first")

    def _refuse_on_demand(self, call: str) -> None:
        if call in self.fail:
            raise LogError(f"the log in memory refuses {call}")
