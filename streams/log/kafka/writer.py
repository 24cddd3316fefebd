"""Appending to Kafka: one idempotent producer, acknowledged by all in-sync replicas, records in, offsets out.

aiokafka's idempotent producer retries a batch for ever with the same sequence number, so a broker that dies and comes
back loses, repeats and reorders nothing. Two things it does not do, which this module adds: an append has an end
(delivery_timeout_ms), and after a failed batch the producer is replaced, because the sequence numbers of later
batches would stay ahead of the broker's for good.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from schemas.streams import STREAMS
from streams.log.kafka.topics import MAX_RECORD_BYTES, KafkaSettings, describe
from streams.log.partitioner import partition_of
from streams.log.port import Append, LogAway, LogError

log = logging.getLogger(__name__)


class Writer:
    """The one producer of a KafkaLog. Appends of several tasks share its batches."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False
        self._appending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.replaced_total = 0
        """Producers given up after a failed append."""

    async def start(self) -> None:
        """Connect now, so that a wrong address shows at start. LogError when it cannot be reached."""
        await self._current()

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        """See streams.log.port.Log.append. After LogError any prefix of each partition's records may be there."""
        count = self._settings.partition_count(stream)
        topic = self._settings.topic(stream)
        for record in records:
            self._check(stream, record, count)
        self._appending += 1
        self._idle.clear()
        try:
            producer = await self._current()
            return await self._deliver(producer, topic, count, records)
        finally:
            self._appending -= 1
            if not self._appending:
                self._idle.set()

    async def _deliver(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        count: int,
        records: Sequence[Append],
    ) -> list[tuple[int, int]]:
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._settings.delivery_timeout_ms / 1000):
                for partition, key, value in records:
                    if partition is None:
                        partition = partition_of(key, count)
                    futures.append(await producer.send(topic, value, key, partition))
                # One by one: a gather of thousands costs more, and all of them must be there anyway.
                written = [await future for future in futures]
        except (KafkaError, OSError, TimeoutError) as error:
            self._give_up(producer)
            for future in futures:
                future.add_done_callback(_retrieved)
            raise LogError(
                f"Kafka at {self._settings.servers} did not acknowledge {len(records)} records for {topic} within "
                f"{self._settings.delivery_timeout_ms} ms ({describe(error)}); none, some or all are in the log: "
                "append them again when the broker is back"
            ) from error
        if any(metadata.offset < 0 for metadata in written):
            raise LogError(
                f"Kafka at {self._settings.servers} has taken the records for {topic} but not told their offsets; "
                "append them again"
            )
        return [(metadata.partition, metadata.offset) for metadata in written]

    async def close(self) -> None:
        """Let the appends under way end, for at most the request timeout, then disconnect."""
        try:
            async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                await self._idle.wait()
        except TimeoutError:
            log.warning("Kafka at %s: closed with unacknowledged appends", self._settings.servers)
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await _end(producer)
        if self._ending:
            await asyncio.wait(self._ending)

    def _check(self, stream: str, record: Append, partitions: int) -> None:
        if record.partition is not None and not 0 <= record.partition < partitions:
            raise LogError(f"{stream} has partitions 0..{partitions - 1}; {record.partition} does not exist")
        size = len(record.key) + len(record.value)
        if size > MAX_RECORD_BYTES:
            raise LogError(f"a record of {size} bytes for {stream} is over the bound of {MAX_RECORD_BYTES}; split it")

    async def _current(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._replacing:
            if self._closed:
                raise LogError(f"the log on Kafka at {self._settings.servers} has been closed; open it again")
            if self._producer is None:
                self._producer = await self._connected()
            return self._producer

    async def _connected(self) -> AIOKafkaProducer:
        settings = self._settings
        producer = AIOKafkaProducer(
            **settings.common(),
            acks="all",
            enable_idempotence=True,
            linger_ms=settings.linger_ms,
            max_batch_size=settings.batch_bytes,
            max_request_size=MAX_RECORD_BYTES + 1024,
            compression_type=settings.compression,
        )
        try:
            async with asyncio.timeout(settings.request_timeout_ms / 1000):
                await producer.start()
                for stream in STREAMS:  # now, not when the first append comes
                    await producer.partitions_for(settings.topic(stream))
        except (KafkaError, OSError, TimeoutError) as error:
            await _end(producer)
            raise LogAway(
                f"Kafka at {settings.servers} cannot be reached for writing: {describe(error)}; "
                "start the broker or mend the servers setting"
            ) from error
        return producer

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        """Fail what the producer still holds and end it aside; the next append makes a new one."""
        if self._producer is producer:
            self._producer = None
            self.replaced_total += 1
            task = asyncio.create_task(_end(producer))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _retrieved(future: "asyncio.Future[Any]") -> None:
    """Look at a result nobody waits for any more, so that asyncio does not report it as forgotten."""
    if not future.cancelled():
        future.exception()


async def _end(producer: AIOKafkaProducer) -> None:
    """Stop a producer at once. Its own stop() waits for a flush that without a broker never comes; hence the private
    names, which are those of aiokafka 0.14."""
    producer._message_accumulator.fail_all(ProducerClosed())
    task = producer._sender.sender_task
    if task is not None:
        task.cancel()
    # Closing the connections ends the requests under way, and with them the sender's tasks.
    await producer.client.close()
    if task is not None:
        await asyncio.wait([task], timeout=5)
    producer._closed = True
