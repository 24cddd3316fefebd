"""The guard of the direct engine: a record that is not its shard's `next` is never folded, the consumer is sought back.

In: records out of place, after a rebalance, a late fetch, a gap. Out: a seek, or leave to pass, where the log itself
says that nothing lies between.
"""

import asyncio
import contextlib
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, Log
from streams.runner.driver import PositionLost
from streams.runner.feeding import feed
from streams.runner.metrics import RunnerMetrics
from streams.runner.outbox import Outbox


class Held:
    """An assigned partition whose shard is fed."""

    __slots__ = ("_feeding", "committed", "outbox", "shard", "sought", "writing")

    def __init__(self, shard: Shard, outbox: Outbox, committed: int) -> None:
        self.shard = shard
        self.outbox = outbox
        self.writing = asyncio.create_task(outbox.run(), name=f"outbox {shard.partition}")
        self.committed = committed
        self.sought: int | None = None
        """The offset sought to last; None once a record was folded."""
        self._feeding = False

    async def feed(self, offset: int, value: bytes) -> list[Output | ResealRequest]:
        """See streams.runner.feeding. A rebalance may come meanwhile."""
        self._feeding = True
        try:
            return await feed(self.shard, offset, value)
        finally:
            self._feeding = False

    def low_water(self) -> int:
        """The offset to commit; the last one where the shard is being fed just now."""
        return self.committed if self._feeding else self.shard.low_water()

    async def room(self, stop: asyncio.Event) -> None:
        """Until the outbox takes more, or the worker stops, or the outbox itself has failed: a log that is away must
        hold up neither a stop nor the news of a failure."""
        if not self.outbox.full:
            return
        waits = [asyncio.create_task(self.outbox.room()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait([*waits, self.writing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def raise_failure(self) -> None:
        """What ended the outbox, if anything did."""
        if self.writing.done() and not self.writing.cancelled() and (error := self.writing.exception()):
            raise error


class Guard:
    """Of one consumer. is_fed(partition, held): whether the partition is still ours and its place settled.
    start_again(place): go through the start of an assignment once more."""

    def __init__(
        self,
        log: Log,
        consumer: AIOKafkaConsumer,
        is_fed: Callable[[int, Held], bool],
        start_again: Callable[[TopicPartition], None],
        metrics: RunnerMetrics,
    ) -> None:
        self._log = log
        self._consumer = consumer
        self._is_fed = is_fed
        self._start_again = start_again
        self._metrics = metrics

    async def passes(self, place: TopicPartition, held: Held, offset: int) -> bool:
        """A record came that is not `next`: back to `next`. Where a later one comes even so, the log is asked by
        another consumer whether anything lies between (Kafka's own markers take offsets, too); only then the shard
        may pass over them. Where an earlier one comes even so, the log may have lost its newest records: a consumer
        beyond the end is put back to the beginning. True: the record may be folded."""
        following = held.shard.next
        if offset > following and held.sought == following and await self._gap_ends(place.partition, following, offset):
            if not self._is_fed(place.partition, held):
                return False
            self._metrics.counters.gap_skips_total += 1
            held.shard.skip_to(offset)
            return True
        self._metrics.counters.guard_seeks_total += 1
        if offset < following and held.sought == following:
            _, end = await self._log.span(CHAT_EVENTS, place.partition)
            if not self._is_fed(place.partition, held):
                return False
            if end < following:
                with contextlib.suppress(IllegalStateError):
                    self._start_again(place)
                return False
        with contextlib.suppress(IllegalStateError):  # no longer ours: the next assignment seeks
            self._consumer.seek(place, following)
            held.sought = following
        return False

    async def _gap_ends(self, partition: int, following: int, offset: int) -> bool:
        """Whether the first record at or after `following` is that at `offset`."""
        first, _ = await self._log.span(CHAT_EVENTS, partition)
        if following < first:
            raise PositionLost(CHAT_EVENTS, partition, following, first)
        found = await self._log.read(CHAT_EVENTS, partition, following, max_records=1, wait_ms=1000)
        return bool(found) and found[0].offset == offset
