"""Reading from Kafka by offset: a bounded pool of consumers, each with one partition assigned by hand.

A reader that goes on where it stopped takes what its consumer has fetched ahead; any other start is an explicit seek
(aiokafka does not seek by itself where nothing was ever committed, not even to 0: field notes).
"""

import asyncio
import time
from collections import deque
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.log.kafka.stopping import stop_consumer
from streams.log.kafka.topics import KafkaSettings, describe
from streams.log.port import LogAway, LogError, LogRecord

FETCH_MAX_WAIT_MS: Final = 250
"""How long a fetch at the end of a partition stays with the broker; a seek backwards may have to wait for it."""
READERS_PER_PARTITION: Final = 3
IDLE_S: Final = 60.0
"""A reader not used for this long is closed, so that it fetches no more."""
MAX_CANCELLED: Final = 1000
"""aiokafka keeps a few bytes for each wait that was cancelled; after this many the consumer is replaced."""


class Reader:
    """One consumer at one place of one partition; used by one caller at a time."""

    def __init__(self, settings: KafkaSettings, partition: TopicPartition) -> None:
        self.partition = partition
        self.next: int | None = None
        """The offset after the last record given out; None where a seek is due."""
        self.busy = False
        self.used_s = time.monotonic()
        self.cancelled = 0
        self._started = False
        self._timeout_s = settings.request_timeout_ms / 1000
        self._fetched: deque[Any] = deque()
        self._consumer = AIOKafkaConsumer(
            **settings.common(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            max_partition_fetch_bytes=settings.fetch_bytes,
            fetch_max_bytes=settings.fetch_bytes,
        )

    async def start(self) -> None:
        """Connect, once. KafkaError, TimeoutError when the broker does not answer."""
        if not self._started:
            async with asyncio.timeout(self._timeout_s):
                await self._consumer.start()
            self._started = True

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)

    async def read(
        self, start: int, max_records: int, max_bytes: int, wait_ms: int, meta: AIOKafkaConsumer
    ) -> list[LogRecord]:
        """Records from start on, within the bounds; [] when there is none within wait_ms. KafkaError, TimeoutError
        when records are there but the broker does not give them."""
        if start != self.next:
            self._seek(start)
        deadline_s = time.monotonic() + wait_ms / 1000
        if not self._fetched and not await self._poll(start, wait_ms):
            await self._fetch_to_end(start, meta)
            left_s = deadline_s - time.monotonic()
            if self.next is None and left_s > 0:
                # start lies beyond the end, so there is nothing to be woken by; do not let the caller spin.
                await asyncio.sleep(left_s)
        return self._give(max_records, max_bytes)

    def _seek(self, start: int) -> None:
        if not self._consumer.assignment():
            self._consumer.assign([self.partition])
        self._fetched.clear()
        self._consumer.seek(self.partition, start)
        self.next = start

    async def _fetch_to_end(self, start: int, meta: AIOKafkaConsumer) -> None:
        """Nothing came; that is an answer only where there is nothing, so ask where the partition ends."""
        end = (await meta.end_offsets([self.partition]))[self.partition]
        deadline_s = time.monotonic() + self._timeout_s
        while self.next is not None and start < end and not await self._poll(start, FETCH_MAX_WAIT_MS):
            # Compaction may have left nothing between start and the end: then the consumer has passed over it.
            if self.next is not None and await self._position() >= end:
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"offsets {start}..{end - 1} were not delivered in {self._timeout_s:.0f} s")

    async def _position(self) -> int:
        async with asyncio.timeout(self._timeout_s):
            return int(await self._consumer.position(self.partition))

    async def _poll(self, start: int, wait_ms: int) -> bool:
        """Take over all that has been fetched, so that the consumer can fetch on; True where there was something."""
        fetched = await self._consumer.getmany(self.partition, timeout_ms=wait_ms)
        records = fetched.get(self.partition, [])
        if records and records[0].offset < start:
            # start lies beyond the end, so the consumer has gone back to the first record: not what was asked for.
            self.next = None
            return False
        self._fetched.extend(records)
        return bool(records)

    def _give(self, max_records: int, max_bytes: int) -> list[LogRecord]:
        given: list[LogRecord] = []
        room = max_bytes
        while self._fetched and len(given) < max_records:
            record = self._fetched[0]
            key, value = record.key or b"", record.value or b""
            room -= len(key) + len(value)
            if given and room < 0:
                break
            self._fetched.popleft()
            given.append(LogRecord(record.offset, key, value, record.timestamp))
        if given:
            self.next = given[-1].offset + 1
        return given


class ReaderPool:
    """At most max_readers consumers; more callers than that wait for one another."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._readers: list[Reader] = []
        self._slots = asyncio.Semaphore(settings.max_readers)
        self._meta: AIOKafkaConsumer | None = None
        self._meta_lock = asyncio.Lock()
        self.opened_total = 0
        """Readers made so far; much more than the partitions in use means that callers do not read on in order."""

    async def start(self) -> None:
        """Connect the consumer that asks for offsets. LogError when the server cannot be reached."""
        try:
            await self._offsets()
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogAway(
                f"Kafka at {self._settings.servers} cannot be reached for reading: {describe(error)}; "
                "start the broker or mend the servers setting"
            ) from error

    async def read(
        self, partition: TopicPartition, start: int, max_records: int, max_bytes: int, wait_ms: int
    ) -> list[LogRecord]:
        """See streams.log.port.Log.read."""
        async with self._slots:
            reader, surplus = self._take(partition, start)
            broken = True
            try:
                for spare in surplus:
                    await spare.stop()
                meta = await self._offsets()
                await reader.start()
                # A caller that gives up waiting (cancellation) leaves the reader as it was.
                broken = False
                records = await reader.read(start, max_records, max_bytes, wait_ms, meta)
            except (KafkaError, OSError, TimeoutError) as error:
                broken = True
                raise self._lost(partition, error) from error
            except asyncio.CancelledError:
                reader.cancelled += 1
                broken = broken or reader.cancelled >= MAX_CANCELLED
                raise
            finally:
                reader.busy = False
                reader.used_s = time.monotonic()
                if broken:
                    self._readers = [other for other in self._readers if other is not reader]
                    await reader.stop()
        return records

    async def span(self, partition: TopicPartition) -> tuple[int, int]:
        """[first retained offset, next offset to be written)."""
        try:
            meta = await self._offsets()
            first, end = await asyncio.gather(meta.beginning_offsets([partition]), meta.end_offsets([partition]))
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._lost(partition, error) from error
        return first[partition], end[partition]

    async def close(self) -> None:
        """Close every consumer."""
        readers, self._readers = self._readers, []
        meta, self._meta = self._meta, None
        for reader in readers:
            await reader.stop()
        if meta is not None:
            await stop_consumer(meta)

    def _take(self, partition: TopicPartition, start: int) -> tuple[Reader, list[Reader]]:
        """A free reader, made busy, and those to be closed: the one that stands at start, else a new one while there
        is room, else the one of this partition that was used least lately. Called with a slot held, so one is free."""
        free = sorted((reader for reader in self._readers if not reader.busy), key=lambda reader: reader.used_s)
        of_partition = [reader for reader in free if reader.partition == partition]
        chosen = next((reader for reader in of_partition if reader.next == start), None)
        if chosen is None and len(of_partition) >= READERS_PER_PARTITION:
            chosen = of_partition[0]
        old_s = time.monotonic() - IDLE_S
        surplus = [reader for reader in free if reader is not chosen and reader.used_s < old_s]
        if chosen is None:
            chosen = Reader(self._settings, partition)
            self._readers.append(chosen)
            self.opened_total += 1
            if not surplus and len(self._readers) > self._settings.max_readers:
                surplus = free[:1]
        chosen.busy = True
        self._readers = [reader for reader in self._readers if reader not in surplus]
        return chosen, surplus

    async def _offsets(self) -> AIOKafkaConsumer:
        """A consumer without partitions, for offsets only: on a reader's connection the question would wait behind a
        fetch that the broker holds."""
        async with self._meta_lock:
            if self._meta is None:
                meta = AIOKafkaConsumer(**self._settings.common(), group_id=None, enable_auto_commit=False)
                try:
                    async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                        await meta.start()
                except BaseException:
                    await stop_consumer(meta)
                    raise
                self._meta = meta
            return self._meta

    def _lost(self, partition: TopicPartition, error: BaseException) -> LogError:
        return LogError(
            f"Kafka at {self._settings.servers}: reading {partition.topic}[{partition.partition}] failed "
            f"({describe(error)}); read again from the same offset when the broker is back"
        )
