"""A log in memory, for tests of consumers: the port's rules, no server, faults on demand."""

from collections.abc import Sequence

from streams.log.port import Append, LogError, LogRecord


class MemoryLog:
    """Implements streams.log.port.Log, all streams with the same number of partitions. `fail` names calls to refuse
    from now on ("read", "commit", ...)."""

    def __init__(self, partitions: int = 2) -> None:
        self._count = partitions
        self._records: dict[tuple[str, int], list[LogRecord]] = {}
        self._first: dict[tuple[str, int], int] = {}
        self.positions: dict[tuple[str, str, int], int] = {}
        self.fail: set[str] = set()
        self.commits: list[tuple[str, str, int, int]] = []

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def partitions(self, stream: str) -> int:
        return self._count

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        self._check("append")
        placed = []
        for partition, key, value in records:
            number = len(key) % self._count if partition is None else partition
            kept = self._records.setdefault((stream, number), [])
            offset = self._first.get((stream, number), 0) + len(kept)
            kept.append(LogRecord(offset, key, value, 1_780_000_000_000 + offset))
            placed.append((number, offset))
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
        found: list[LogRecord] = []
        for record in self._records.get((stream, partition), []):
            size = sum(len(taken.key) + len(taken.value) for taken in [*found, record])
            if record.offset >= start and len(found) < max_records and (not found or size <= max_bytes):
                found.append(record)
            elif found:
                break
        return found

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        first = self._first.get((stream, partition), 0)
        return first, first + len(self._records.get((stream, partition), []))

    async def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        self._check("commit")
        self.positions[group, stream, partition] = offset
        self.commits.append((group, stream, partition, offset))

    async def committed(self, group: str, stream: str, partition: int) -> int | None:
        return self.positions.get((group, stream, partition))

    def delete_before(self, stream: str, partition: int, offset: int) -> None:
        """What retention does."""
        first = self._first.get((stream, partition), 0)
        del self._records[stream, partition][: offset - first]
        self._first[stream, partition] = offset

    def _check(self, call: str) -> None:
        if call in self.fail:
            raise LogError(f"the log in memory refuses {call}")
