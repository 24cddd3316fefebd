"""Consumers' positions on Kafka: group offsets, committed and asked for by consumers that fetch nothing.

A position of a group with live members (the direct runner's, Faust's) can be committed by those members only; the
broker refuses it to anybody else, and that refusal is what fences a worker that lost its partitions. Offsets of a
group that commits nothing for offsets.retention.minutes (7 days by default) are forgotten by the broker.
"""

import asyncio
from collections import OrderedDict

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from schemas.streams import STREAMS
from streams.log.kafka.topics import KafkaSettings, describe
from streams.log.port import LogError


class Positions:
    """At most max_groups connections, one per group; the one used least lately goes first."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumers: OrderedDict[str, AIOKafkaConsumer] = OrderedDict()
        self._lock = asyncio.Lock()

    async def commit(self, group: str, partition: TopicPartition, offset: int) -> None:
        """Store the next offset the group needs of the partition."""
        if offset < 0:
            raise LogError(f"position {offset} of group {group} cannot be: offsets start at 0")
        async with self._lock:
            try:
                async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                    consumer = await self._consumer(group)
                    await consumer.commit({partition: offset})
            except CommitFailedError as error:
                raise LogError(
                    f"Kafka at {self._settings.servers}: group {self._settings.group_id(group)} has live members, "
                    "only they can commit its positions; stop them or use another group"
                ) from error
            except (KafkaError, OSError, TimeoutError) as error:
                raise self._lost(group, "committing", error) from error

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        """The stored position, or None."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                    consumer = await self._consumer(group)
                    offset = await consumer.committed(partition)
            except (KafkaError, OSError, TimeoutError) as error:
                raise self._lost(group, "asking for", error) from error
        return None if offset is None else int(offset)

    async def close(self) -> None:
        """Disconnect."""
        while self._consumers:
            await self._consumers.popitem()[1].stop()

    async def _consumer(self, group: str) -> AIOKafkaConsumer:
        consumer = self._consumers.get(group)
        if consumer is None:
            if len(self._consumers) >= self._settings.max_groups:
                await self._consumers.popitem(last=False)[1].stop()
            consumer = AIOKafkaConsumer(
                **self._settings.common(), group_id=self._settings.group_id(group), enable_auto_commit=False
            )
            # Only assigned partitions can be committed; paused, so that none of them is fetched.
            everything = [
                TopicPartition(self._settings.topic(stream), number)
                for stream in STREAMS
                for number in range(self._settings.partition_count(stream))
            ]
            consumer.assign(everything)
            consumer.pause(*everything)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumers[group] = consumer
        self._consumers.move_to_end(group)
        return consumer

    def _lost(self, group: str, doing: str, error: BaseException) -> LogError:
        return LogError(
            f"Kafka at {self._settings.servers}: {doing} the position of group {self._settings.group_id(group)} "
            f"failed ({describe(error)}); try again when the broker is back"
        )
