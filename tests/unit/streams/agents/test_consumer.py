"""The overrides of Faust's consumer are pinned to the version they were tested with, and still override something."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.consumer import ConsumerRecord
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.agents.consumer import (
    BATCH_RECORDS,
    FETCH_WAIT_MS,
    TESTED_FAUST,
    ForgetfulOffsets,
    LowWaterConsumer,
    QuickFetches,
    UntestedFaust,
    Wanted,
    require_tested,
)

TOPIC = "chat.events"
ONE, TWO, CHANGELOG = TP(TOPIC, 0), TP(TOPIC, 1), TP("changelog", 0)


class Consumer(LowWaterConsumer):
    """One whose fetch is what a test says; nothing of Faust around it is started."""

    should_stop = False
    flow_active = True

    def __init__(self, fetched: Mapping[TP, Sequence[Any]], active: set[TP], *, batch_records: int) -> None:
        self.fetched, self.active = fetched, active
        self.app: Any = SimpleNamespace(
            consumer_generation_id=1, monitor=SimpleNamespace(track_tp_end_offset=lambda *_: None)
        )
        self.sought = 0
        self._positions: Any = SimpleNamespace(topic=TOPIC)
        self._batch_records = batch_records
        self._buffered_partitions: set[TP] = set()

    async def _wait_next_records(self, timeout: float) -> Any:
        return self.fetched, self.active

    def highwater(self, tp: TP) -> int:
        return 0

    async def perform_seek(self) -> None:
        self.sought += 1


def records(tp: TP, offsets: Iterable[int]) -> list[Any]:
    """As aiokafka gives them; the value says the offset, and is missing at 0 as in a tombstone."""
    return [
        ConsumerRecord(tp.topic, tp.partition, at, 1, 1, b"key", b"%d" % at if at else None, None, 3, 1, ())
        for at in offsets
    ]


async def handed_over(consumer: Consumer) -> list[tuple[TP, int, Any]]:
    """(partition, the message's offset, the message's value) of one fetch."""
    return [(tp, message.offset, message.value) async for tp, message in consumer.getmany(1.0)]


async def test_records_of_one_partition_travel_together_in_the_order_of_the_log() -> None:
    fetched = {ONE: records(ONE, [0, 1, 2, 5, 6]), TWO: records(TWO, [7])}
    found = await handed_over(Consumer(fetched, {ONE, TWO}, batch_records=3))
    assert found == [
        (ONE, 2, ((0, b""), (1, b"1"), (2, b"2"))),
        (ONE, 6, ((5, b"5"), (6, b"6"))),
        (TWO, 7, ((7, b"7"),)),
    ]


async def test_messages_of_other_topics_stay_as_faust_makes_them() -> None:
    found = await handed_over(Consumer({CHANGELOG: records(CHANGELOG, [1, 2])}, {CHANGELOG}, batch_records=3))
    assert found == [(CHANGELOG, 1, b"1"), (CHANGELOG, 2, b"2")]


async def test_partitions_that_are_not_active_are_left_out_unless_they_wait_in_a_buffer() -> None:
    consumer = Consumer({ONE: records(ONE, [1]), TWO: records(TWO, [2])}, {TWO}, batch_records=3)
    assert await handed_over(consumer) == [(TWO, 2, ((2, b"2"),))]
    consumer._buffered_partitions.add(ONE)
    assert [tp for tp, *_ in await handed_over(consumer)] == [ONE, TWO]


async def test_a_rebalance_ends_the_handing_over() -> None:
    consumer = Consumer({ONE: records(ONE, range(1, 10))}, {ONE}, batch_records=3)
    found = []
    async for _, message in consumer.getmany(1.0):
        found.append(message.offset)
        consumer.app.consumer_generation_id = 2
    assert found == [3]


async def test_what_was_fetched_while_the_flow_stopped_is_read_again() -> None:
    consumer = Consumer({ONE: records(ONE, [1])}, {ONE}, batch_records=3)
    consumer.flow_active = False
    assert await handed_over(consumer) == []
    assert consumer.sought == 1


@pytest.mark.parametrize(("low_water", "together"), [(True, BATCH_RECORDS), (False, 1)])
def test_where_commits_are_left_to_faust_each_record_is_a_message(
    low_water: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver.Consumer, "__init__", lambda *_: None)
    transport: Any = SimpleNamespace(positions=SimpleNamespace(topic=TOPIC), low_water=low_water)
    assert LowWaterConsumer(transport)._batch_records == together


def test_a_fetch_at_the_end_of_a_partition_does_not_hold_the_others_up(monkeypatch: pytest.MonkeyPatch) -> None:
    faust_makes = driver.AIOKafkaConsumerThread._create_worker_consumer
    assert "fetch_max_wait_ms=1500" in inspect.getsource(faust_makes)
    assert "self._fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.start)  # read there, not before
    made = SimpleNamespace(_fetch_max_wait_ms=1500)
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer", lambda *_: made)
    assert QuickFetches.__new__(QuickFetches)._create_worker_consumer(None)._fetch_max_wait_ms == FETCH_WAIT_MS


class Records(list[Any]):
    """What aiokafka keeps of one answered fetch; taking it moves the partition's position to the offset after it."""

    next_fetch_offset = 2


class Fetch(QuickFetches):
    """One whose fetch is aiokafka's own, of a single answer that lies there for each partition."""

    def __init__(self, tps: Iterable[TP], *, active: set[TP], flow_active: bool = True) -> None:
        self.consumer: Any = SimpleNamespace(flow_active=flow_active, _active_partitions=active)
        self.positions = {tp: SimpleNamespace(paused=False, position=2) for tp in tps}
        for state in self.positions.values():
            state.consumed_to = partial(setattr, state, "position")
        assignment: Any = SimpleNamespace(active=True, state_value=self.positions.get)
        self.fetcher: Any = Fetcher.__new__(Fetcher)
        self.fetcher._closed, self.fetcher._wait_consume_future = False, None
        self.fetcher._subscriptions = SimpleNamespace(
            reassignment_in_progress=False, fetch_context=nullcontext, is_assigned=lambda _: True
        )
        self.fetcher._records = {
            tp: FetchResult(tp, assignment=assignment, partition_records=Records(records(tp, [0, 1])), backoff=0)
            for tp in self.positions
        }

    async def take(self) -> set[TP]:
        """The partitions of which one fetch takes records."""
        aiokafka_consumer: Any = SimpleNamespace(_fetcher=self.fetcher, _closed=False)
        return set(await self._fetch_records(aiokafka_consumer, self.consumer._active_partitions, timeout=0))


async def test_a_fetch_takes_nothing_of_a_partition_that_a_rebalance_paused_meanwhile() -> None:
    fetch = Fetch([ONE, CHANGELOG], active=set())
    assert await fetch.take() == set()
    fetch.consumer._active_partitions.add(CHANGELOG)
    assert await fetch.take() == {CHANGELOG}
    assert await fetch.take() == set()
    fetch.consumer._active_partitions.add(ONE)
    assert await fetch.take() == {ONE}


async def test_a_fetch_takes_nothing_once_the_flow_stopped() -> None:
    fetch = Fetch([ONE], active={ONE})
    wanted = Wanted(fetch.consumer)
    assert ONE in wanted
    fetch.consumer.flow_active = False
    assert ONE not in wanted
    assert await fetch.fetcher.fetched_records(wanted) == {}
    fetch.consumer.flow_active = True
    assert await fetch.take() == {ONE}


async def test_aiokafka_takes_no_partitions_for_all() -> None:
    """The fact that `Wanted` is for; where this fails it may go."""
    assert set(await Fetch([ONE], active=set()).fetcher.fetched_records(set())) == {ONE}


def test_another_faust_is_refused_by_name() -> None:
    require_tested(TESTED_FAUST)
    with pytest.raises(UntestedFaust, match=r"faust-streaming 0\.16\.0 is installed"):
        require_tested("0.16.0")


def test_the_installed_faust_is_the_tested_one() -> None:
    assert faust.__version__ == TESTED_FAUST


@pytest.mark.parametrize(
    "name", ["_new_offset", "_filter_tps_with_pending_acks", "seek_to_committed", "getmany", "_new_consumer_thread"]
)
def test_each_override_replaces_a_method_that_faust_has(name: str) -> None:
    assert name in vars(LowWaterConsumer)
    assert callable(getattr(driver.Consumer, name))


def test_the_fetch_that_is_overridden_is_there() -> None:
    assert "self._fetch_records,\n" in inspect.getsource(driver.AIOKafkaConsumerThread.getmany)


def test_faust_asks_read_offset_by_item() -> None:
    """_drain_messages looks offsets up by __getitem__; that is what ForgetfulOffsets answers."""
    assert "_read_offset.__getitem__" in _source_of_drain()


def _source_of_drain() -> str:
    return inspect.getsource(faust_consumer.Consumer._drain_messages)


def test_read_offsets_of_our_topic_are_forgotten_and_others_kept() -> None:
    offsets = ForgetfulOffsets("chat.events")
    ours, other = TP("chat.events", 1), TP("changelog", 1)
    offsets[ours] = 7
    offsets.update({other: 9})
    assert offsets[ours] is None
    assert offsets[other] == 9
    assert offsets[TP("changelog", 2)] is None
