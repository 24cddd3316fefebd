"""The log in memory as a storage under test: the fake that tests of consumers use is held to the same sentences."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.log.port import Log
from tests.memory_log import Memory, MemoryLog


class MemoryStorage:
    """A memory of its own."""

    has_server = False

    def __init__(self) -> None:
        self.memory = Memory()

    def client(self, partitions: int = 4) -> MemoryLog:
        return MemoryLog(partitions, memory=self.memory)

    def unreachable(self) -> tuple[Log, str]:
        raise NotImplementedError("a log in memory has no address where nothing could listen")

    async def forget(self, log: Log, stream: str, partition: int, before_offset: int) -> None:
        assert isinstance(log, MemoryLog)
        log.delete_before(stream, partition, before_offset)


@asynccontextmanager
async def fresh(server: None) -> AsyncIterator[MemoryStorage]:
    """An empty memory."""
    yield MemoryStorage()
