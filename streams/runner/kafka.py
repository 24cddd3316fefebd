"""The direct engine: an aiokafka consumer group drives shards, many workers share partitions (`TWZRD_ENGINE=direct`).

In: `chat.events` through the group. Out: `epoch.sealed`, `dead`, low-water marks as the group's offsets. Delivery is at
least once, outputs are deterministic, so readers take them once; nothing rests on Kafka transactions (field notes).

What makes it exact: a record that is not its shard's `next` is never folded, the consumer is sought back; the offset
committed is the shard's low-water mark; what was sealed is read from `epoch.sealed` after the committed offset was; a
shard is set and its partition sought with no await between.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.policy import PolicySchedule
from streams.core.shard import Shard
from streams.log.kafka import KafkaLog
from streams.log.kafka.stopping import stop_consumer
from streams.log.port import CHAT_EVENTS, LogError
from streams.runner.backoff import Backoff
from streams.runner.driver import load_resume, refuse_other_pepper, starting_point
from streams.runner.guard import Guard, Held
from streams.runner.metrics import RunnerMetrics
from streams.runner.outbox import Outbox
from streams.runner.reseal import ArchiveReader, answering

SLICE_RECORDS: Final = 50
"""Records folded before the fetcher, the heartbeat and the outboxes get their turn."""
FLUSH_S: Final = 10.0
"""How long a stop, or a partition taken away, waits for outputs to become durable."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectSettings:
    """One member of the group. group_instance_id: a name of this worker that outlives its process (static
    membership); after kill -9 the next process of that name goes on at once. Two living workers must not share one."""

    group: str = "work"
    group_instance_id: str | None = None
    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 1_000
    rebalance_timeout_ms: int = 30_000
    max_poll_records: int = 1_000
    poll_wait_ms: int = 500
    fetch_partition_bytes: int = 4 << 20
    fetch_bytes: int = 16 << 20
    fetch_wait_ms: int = 100
    """How long a fetch may stay with the broker where nothing is to be read. aiokafka has one fetch at a time under way
    to a broker, so a partition at its end holds the others up that long."""
    commit_interval_s: float = 1.0


class DirectRunner(ConsumerRebalanceListener):  # type: ignore[misc]
    """One group member. The listener only notes what changed and pauses; `run` does all that awaits."""

    def __init__(
        self,
        log: KafkaLog,
        schedule: PolicySchedule,
        pepper: bytes,
        *,
        settings: DirectSettings,
        archive: ArchiveReader | None,
        metrics: RunnerMetrics,
    ) -> None:
        self._log = log
        self._schedule = schedule
        self._pepper = pepper
        self._settings = settings
        self._answer = answering(log, archive)
        self._metrics = metrics
        self._topic = log.settings.topic(CHAT_EVENTS)
        self._held: dict[int, Held] = {}
        self._starting: set[int] = set()
        """Assigned, paused, not yet fed: a new shard is made, or the one kept is checked."""
        self._assignment = 0
        """Counts assignments, so that what was awaited meanwhile is known to be of an older one."""
        self._committing: asyncio.Task[None] | None = None
        self._consumer = AIOKafkaConsumer(
            **log.settings.common(),
            group_id=log.settings.group_id(settings.group),
            group_instance_id=settings.group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_records=settings.max_poll_records,
            max_partition_fetch_bytes=settings.fetch_partition_bytes,
            fetch_max_bytes=settings.fetch_bytes,
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )
        self._guard = Guard(log, self._consumer, self._is_fed, self._start_again, metrics)

    # -- rebalances ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before a rebalance: store the low-water marks, so that the next owner folds little again. Shards stay: most
        partitions come back."""
        self._metrics.counters.rebalances_total += 1
        self._starting.clear()
        await self._commit()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After a rebalance. Not a coroutine: no record is given out between the assignment and the pause."""
        self._assignment += 1
        places = list(assigned)
        if places:
            self._consumer.pause(*places)
        self._starting = {place.partition for place in places}
        for partition in self._held.keys() - self._starting:
            self._drop(partition)

    def _drop(self, partition: int) -> None:
        held = self._held.pop(partition)
        held.writing.cancel()
        held.outbox.release()
        self._metrics.stopped(partition)

    async def _start(self, partition: int) -> None:
        """Feed a partition from its committed offset, or on with the shard kept over the rebalance."""
        place, assignment = TopicPartition(self._topic, partition), self._assignment
        async with asyncio.timeout(self._settings.session_timeout_ms / 1000):
            committed = await self._consumer.committed(place)
        start, end = await starting_point(self._log, partition, committed)
        self._metrics.ends[partition] = end
        held = self._held.get(partition)
        resume = None
        if held is None or not start <= held.shard.next <= end:  # beyond the end: the log has lost its newest records
            resume = await load_resume(self._log, partition, start, self._schedule.epoch_length_s)
        if assignment != self._assignment or partition not in self._starting:
            return  # a rebalance came between: it has its own start
        # From here on no await: records must not arrive between the shard and the seek.
        if resume is not None:
            if held:
                self._drop(partition)
            shard = Shard(self._schedule, self._pepper, start, resume, partition=partition)
            refuse_other_pepper(resume, shard.sealer, partition)
            held = Held(shard, Outbox(shard, self._log.append, self._answer, self._metrics), start)
            self._held[partition] = held
            self._metrics.started(shard)
        else:
            assert held is not None
            self._metrics.counters.shards_kept_total += 1
        held.sought = held.shard.next
        self._consumer.seek(place, held.shard.next)
        self._consumer.resume(place)
        self._starting.discard(partition)

    def _start_again(self, place: TopicPartition) -> None:
        """The log ends below what the shard was fed: as after an assignment."""
        self._consumer.pause(place)
        self._starting.add(place.partition)

    # -- the loop --------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Until stop is set: then outputs are flushed, low-water marks committed, the group left."""
        backoff = Backoff()
        commit_at_s = 0.0
        clock = asyncio.get_running_loop().time
        await self._connect(stop, backoff)
        try:
            while not stop.is_set():
                try:
                    for partition in sorted(self._starting):
                        await self._start(partition)
                    batches = await self._consumer.getmany(timeout_ms=self._settings.poll_wait_ms)
                    for place, records in batches.items():
                        await self._take(place, records, stop)
                except (KafkaError, LogError, TimeoutError) as error:
                    self._metrics.counters.log_lost_total += 1
                    _log.warning("the direct worker cannot reach the log: %r; trying again", error)
                    await backoff.wait(stop)
                    continue
                backoff.reset()
                for held in self._held.values():
                    held.raise_failure()
                if clock() >= commit_at_s and (self._committing is None or self._committing.done()):
                    commit_at_s = clock() + self._settings.commit_interval_s
                    self._see_ends()
                    self._committing = asyncio.create_task(self._commit())
        finally:
            await self._end()

    async def _connect(self, stop: asyncio.Event, backoff: Backoff) -> None:
        while not stop.is_set():
            try:
                await self._consumer.start()
                break
            except KafkaError as error:
                self._metrics.counters.log_lost_total += 1
                _log.warning("Kafka at %s cannot be reached: %r; trying again", self._log.settings.servers, error)
                await backoff.wait(stop)
        self._consumer.subscribe([self._topic], listener=self)

    async def _take(self, place: TopicPartition, records: Sequence[Any], stop: asyncio.Event) -> None:
        """Fold a batch of one partition. Records that are not `next` are not folded: see Guard."""
        for start in range(0, len(records), SLICE_RECORDS):
            held = self._held.get(place.partition)
            if held is None or not self._is_fed(place.partition, held) or stop.is_set():
                return  # taken away, or about to be sought
            if not await self._fold(place, held, records[start : start + SLICE_RECORDS]):
                return
            await held.room(stop)
            await asyncio.sleep(0)

    async def _fold(self, place: TopicPartition, held: Held, records: Sequence[Any]) -> bool:
        shard = held.shard
        outputs: list[Any] = []
        try:
            for record in records:
                if record.offset != shard.next and not await self._guard.passes(place, held, record.offset):
                    return False
                outputs += await held.feed(record.offset, record.value or b"")
                if not self._is_fed(place.partition, held):
                    return False
        finally:
            held.outbox.put(outputs)
        held.sought = None
        return True

    def _is_fed(self, partition: int, held: Held) -> bool:
        """Whether that partition is still ours and its place settled."""
        return self._held.get(partition) is held and partition not in self._starting

    def _see_ends(self) -> None:
        for partition in self._held:
            with contextlib.suppress(IllegalStateError):
                end = self._consumer.highwater(TopicPartition(self._topic, partition))
                self._metrics.ends[partition] = end or self._metrics.ends.get(partition, 0)

    # -- positions -------------------------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Store low-water marks that have moved. A refusal means that a rebalance is under way: its end settles it."""
        moved = {
            TopicPartition(self._topic, partition): low_water
            for partition, held in self._held.items()
            if (low_water := held.low_water()) != held.committed
        }
        if not moved:
            return
        try:
            async with asyncio.timeout(self._settings.session_timeout_ms / 1000):
                await self._consumer.commit(moved)
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError) as error:
            self._metrics.counters.commits_refused_total += 1
            _log.info("low-water marks were not stored (%r); they are with the next commit", error)
            return
        self._note(moved)

    def _note(self, moved: Mapping[TopicPartition, int]) -> None:
        for place, offset in moved.items():
            if held := self._held.get(place.partition):
                held.committed = offset

    async def _end(self) -> None:
        if self._committing is not None:
            await asyncio.wait([self._committing])
        with contextlib.suppress(TimeoutError):  # a lost broker: the next owner folds it again
            async with asyncio.timeout(FLUSH_S):
                for held in self._held.values():
                    if not held.writing.done():
                        await held.outbox.empty()
                await self._commit()
        for partition in list(self._held):
            self._drop(partition)
        await stop_consumer(self._consumer)


async def run_direct(
    log: KafkaLog,
    schedule: PolicySchedule,
    pepper: bytes,
    *,
    settings: DirectSettings | None = None,
    archive: ArchiveReader | None = None,
    stop: asyncio.Event | None = None,
    metrics: RunnerMetrics | None = None,
) -> None:
    """Work on an open log until `stop` is set (the caller ties SIGTERM and SIGINT to it). Raises PositionLost where the
    log was trimmed below the committed offset, OtherPepper where it was sealed with another pepper, SchemaError where
    epoch.sealed holds a record this program cannot read."""
    runner = DirectRunner(
        log,
        schedule,
        pepper,
        settings=settings or DirectSettings(),
        archive=archive,
        metrics=metrics if metrics is not None else RunnerMetrics(),
    )
    await runner.run(stop or asyncio.Event())
