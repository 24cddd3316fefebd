"""What is ours in Faust's Kafka consumer: what it commits, where it starts, what it re-reads, and how it hands records
over. With streams.agents.recovery the only place that reaches into Faust.

Stands between Kafka and the agent. Comes in: committed offsets, assignments, records. Goes out: commits of each shard's
low-water mark; records of chat.events in batches. Seven overrides of faust.transport.drivers.aiokafka, each for one
fact of Faust 0.15.3:

- `_new_offset` makes Faust commit what was acknowledged to it; we commit the shard's low-water mark, so that all an
  open epoch or an unsent seal needs is read again after a crash. `_filter_tps_with_pending_acks` names the
  partitions to ask, since nothing here is ever acknowledged.
- `seek_to_committed` runs at the end of each rebalance, with the flow stopped: the shards are made or kept there, and
  each partition is sought to its shard's `next`; also where nothing was committed, where aiokafka would not seek.
- `_read_offset` remembers what was read and drops what comes again. After the guard's seek that would drop just the
  records asked for, and records in between would be noted as gaps and passed for acknowledged (`_add_gap`). For
  chat.events it forgets; order is the guard's business (streams.agents.shards).
- `getmany` makes a message of each record, and each message costs four tasks, a wait and two queues on its way to the
  agent, as much as folding its 200 events. Here up to BATCH_RECORDS records of one partition travel as one message,
  whose value is a tuple of (offset, value) and whose offset is the last one's. `Batches` is the topic's schema for it.
- `_create_worker_consumer` lets a fetch stay with the broker for 1.5 s where nothing is to be read, and aiokafka has
  one fetch at a time under way to a broker: a partition at its end would hold all others up. Here FETCH_WAIT_MS.
- `_fetch_records` hands aiokafka the set of active partitions, which a rebalance empties while the fetch waits; to
  aiokafka an empty set means all. So records were taken from under the feet of a rebalance: read past, and dropped as
  the flow stood still. Here `Wanted` is asked as records are taken, and what is not wanted then stays to be taken.
"""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.errors import TwzrdError

TESTED_FAUST: Final = "0.15.3"
BATCH_RECORDS: Final = 64
"""At most this many are folded before the event loop gets its turn; of 200 events each about 10 ms."""
FETCH_WAIT_MS: Final = 100
"""An idle worker asks each broker ten times a second; records that come meanwhile are answered at once."""

_log = logging.getLogger(__name__)

Batch = tuple[tuple[int, bytes], ...]
"""Records of one partition as they lie in the log: offset and value of each."""


class UntestedFaust(TwzrdError):
    """The installed Faust is not the one whose inner ways this module relies on."""


def require_tested(version: str) -> None:
    """Raise UntestedFaust unless this is the version the overrides were tested with."""
    if version != TESTED_FAUST:
        raise UntestedFaust(
            f"faust-streaming {version} is installed, but consumer.py and recovery.py of streams/agents override inner "
            f"parts of {TESTED_FAUST}; install that one, or compare the overrides with the new source and run "
            "tests/integration/streams/agents"
        )


require_tested(faust.__version__)


class Positions(Protocol):
    """Who knows the shards of the partitions of one topic."""

    topic: str

    def held(self) -> Iterable[int]:
        """Partitions that have a shard."""

    def low_water(self, partition: int) -> int | None:
        """The offset to commit, or None where there is no shard."""

    async def take_over(self, committed: Mapping[int, int | None]) -> Mapping[int, int]:
        """Hold exactly these partitions; given each one's committed offset (None where none), says where to read."""


class Batches(faust.Schema[bytes, Batch]):
    """The schema of a topic whose messages are batches of raw records: there is nothing to decode."""

    def loads_value(self, app: Any, message: Any, **options: Any) -> Batch:
        """The batch that LowWaterConsumer.getmany put there."""
        batch: Batch = message.value
        return batch


class ForgetfulOffsets(defaultdict[TP, int | None]):
    """Faust's memory of what it read of each partition, without that of one topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(lambda: None)
        self._topic = topic

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic == self._topic else super().__getitem__(tp)


class Wanted:
    """The partitions a consumer takes records of, as it stands when it is asked. Always true: see `_fetch_records`."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def __contains__(self, tp: object) -> bool:
        return bool(self._consumer.flow_active) and tp in self._consumer._active_partitions


class QuickFetches(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, whose fetches do not wait long at the end of a partition, and take what is wanted."""

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        wanted: Any = Wanted(self.consumer)
        return await super()._fetch_records(consumer, wanted, timeout=timeout, max_records=max_records)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # read when it starts
        return consumer


class LowWaterConsumer(driver.Consumer):
    """Commits low-water marks; reads from where the shards stand."""

    def __init__(self, transport: "LowWaterTransport", *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._positions = transport.positions
        self._low_water = transport.low_water
        self._read_offset = ForgetfulOffsets(self._positions.topic)
        # Faust's own commits (a test's fault) go by messages, so there each record is one.
        self._batch_records = BATCH_RECORDS if self._low_water else 1

    def _new_consumer_thread(self) -> QuickFetches:
        return QuickFetches(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Messages of one fetch, partition by partition; those of chat.events are batches."""
        fetched, active = await self._wait_next_records(timeout)
        if fetched is None or self.should_stop:
            return
        if not self.flow_active:
            await self._go_back()
            return
        generation = self.app.consumer_generation_id
        for tp, message in self._messages(fetched, active):
            # Each message awaits its way to the agent; a rebalance may come meanwhile.
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            yield tp, message

    async def _go_back(self) -> None:
        """What was fetched while the flow stopped is dropped, so read it again. The guard would notice later."""
        try:
            await self.perform_seek()
        except Exception as error:  # noqa: BLE001 (as Faust does; the guard seeks again)
            _log.warning("could not seek while records do not flow: %r", error)

    def _messages(self, fetched: Mapping[TP, Sequence[Any]], active: Any) -> Iterator[tuple[TP, Any]]:
        for tp, records in fetched.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic != self._positions.topic:
                yield from ((tp, self._to_message(tp, record)) for record in records)
                continue
            for first in range(0, len(records), self._batch_records):
                batch = records[first : first + self._batch_records]
                message: Any = self._to_message(tp, batch[-1])
                message.value = tuple((record.offset, record.value or b"") for record in batch)
                yield tp, message

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        if not self._low_water:
            yield from super()._filter_tps_with_pending_acks(topics)
            return
        topic = self._positions.topic
        for partition in list(self._positions.held()):
            tp = TP(topic, partition)
            if topics is None or topic in topics or tp in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if not self._low_water or tp.topic != self._positions.topic:
            offset: int | None = super()._new_offset(tp)
            return offset
        for kept in (self._acked, self._acked_index, self._gap):
            kept.pop(tp, None)
        return self._positions.low_water(tp.partition)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        committed = await super().seek_to_committed()  # of aiokafka's own tuples, with None where nothing is
        topic = self._positions.topic
        ours = {tp.partition: offset for tp, offset in committed.items() if tp.topic == topic}
        starts = await self._positions.take_over(ours)
        if starts:
            await self.seek_wait({TP(topic, partition): offset for partition, offset in starts.items()})
        return committed


class LowWaterTransport(driver.Transport):
    """Faust's aiokafka transport with the consumer above. low_water False (a test's fault) leaves commits to Faust."""

    Consumer = LowWaterConsumer

    def __init__(self, url: Any, app: Any, positions: Positions, *, low_water: bool = True) -> None:
        self.positions = positions
        self.low_water = low_water
        super().__init__(url, app)
