"""`KafkaLog`: the log port on a Kafka cluster. Appends and reads of streams.collect, the runners, projections and the
archiver come in; aiokafka does the talking (topics, writer, readers, positions beside this file)."""

from collections.abc import Sequence
from typing import TypeVar

from aiokafka import TopicPartition

from streams.log.kafka.positions import Positions
from streams.log.kafka.readers import ReaderPool
from streams.log.kafka.topics import KafkaSettings, ensure_topics
from streams.log.kafka.writer import Writer
from streams.log.port import Append, LogError, LogRecord

Part = TypeVar("Part")


class KafkaLog:
    """Implements streams.log.port.Log. "Durable" is acks=all: on every in-sync replica, as min_insync_replicas says;
    each broker writes to its disk when its kernel does. What differs from Postgres: offsets may have gaps, and after a
    failed append part of the records may be in the log."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.remarks: list[str] = []
        """How existing topics' configuration differs from the settings'; filled by open()."""
        self._writer: Writer | None = None
        self._readers: ReaderPool | None = None
        self._positions: Positions | None = None

    async def open(self) -> None:
        """Create missing topics, check those there, connect. LogError names the server; after LogAway it
        may be called again."""
        self.remarks = await ensure_topics(self.settings)
        self._writer, self._readers = Writer(self.settings), ReaderPool(self.settings)
        self._positions = Positions(self.settings)
        try:
            await self._writer.start()
            await self._readers.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let appends under way end for at most request_timeout_ms, then disconnect; safe to call twice."""
        writer, readers, positions = self._writer, self._readers, self._positions
        self._writer = self._readers = self._positions = None
        if writer is not None:
            await writer.close()
        if readers is not None:
            await readers.close()
        if positions is not None:
            await positions.close()

    async def partitions(self, stream: str) -> int:
        """As the settings say; open() has compared it with the cluster."""
        return self.settings.partition_count(stream)

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        """See Log.append. Waits up to delivery_timeout_ms for a lost broker, then raises LogError."""
        return await self._opened(self._writer).append(stream, records)

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
        """See Log.read."""
        if start < 0 or max_records < 1:
            raise LogError(f"read from offset {start} of at most {max_records} records: they start at 0 and 1")
        place = self._partition(stream, partition)
        return await self._opened(self._readers).read(place, start, max_records, max_bytes, wait_ms)

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        """See Log.span."""
        place = self._partition(stream, partition)
        return await self._opened(self._readers).span(place)

    async def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        """See Log.commit. Refused with LogError while the group has live members."""
        place = self._partition(stream, partition)
        await self._opened(self._positions).commit(group, place, offset)

    async def committed(self, group: str, stream: str, partition: int) -> int | None:
        """See Log.committed."""
        place = self._partition(stream, partition)
        return await self._opened(self._positions).committed(group, place)

    def _partition(self, stream: str, partition: int) -> TopicPartition:
        count = self.settings.partition_count(stream)
        if not 0 <= partition < count:
            raise LogError(f"{stream} has partitions 0..{count - 1}; {partition} does not exist")
        return TopicPartition(self.settings.topic(stream), partition)

    def _opened(self, part: Part | None) -> Part:
        if part is None:
            raise LogError(f"the log on Kafka at {self.settings.servers} is not open; call open() first")
        return part
