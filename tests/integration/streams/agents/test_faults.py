"""Whatever happens to Faust workers, the seals are those of shards fed directly: none missing, none different."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Callable

import pytest

from infra.kafka import DevKafka
from streams.log.kafka import KafkaLog, KafkaSettings
from tests.integration.streams.agents.chat import (
    SealReader,
    append,
    differences,
    of_shards_fed_directly,
    several,
)
from tests.integration.streams.agents.conftest import PARTITIONS, StartWorker, page_when

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CHANNELS = 12
HOURS = 10
KILLS = 4
SEALS = CHANNELS * HOURS


async def assert_all_sealed(log: KafkaLog, reader: SealReader) -> None:
    wanted = await of_shards_fed_directly(log)
    assert len(wanted) == SEALS
    await reader.until(SEALS)
    await reader.to_the_end()
    assert differences(wanted, reader.headers) == []


async def test_one_worker_seals_as_shards_fed_directly_do(log: KafkaLog, start_worker: StartWorker, seed: int) -> None:
    await append(log, several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed))
    worker = start_worker()
    await assert_all_sealed(log, SealReader(log, PARTITIONS))
    assert worker.stop() == 0


async def test_kill_9_in_mid_stream_loses_and_repeats_nothing(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
    rng = random.Random(seed)
    reader = SealReader(log, PARTITIONS)
    part = len(records) // (KILLS + 1)
    cuts = [number * part - rng.randrange(part // 2) for number in range(1, KILLS + 1)]
    for begin, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        worker = start_worker(instance="a")
        before = len(reader.headers)
        appending = asyncio.create_task(append(log, records[begin:end]))
        if end < len(records):
            await reader.until(min(before + rng.randint(1, 4), SEALS))
            worker.kill()
        await appending
    await assert_all_sealed(log, reader)


async def test_a_third_worker_joins_and_leaves(log: KafkaLog, start_worker: StartWorker, seed: int) -> None:
    records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
    third = len(records) // 3
    reader = SealReader(log, PARTITIONS)
    first, second = start_worker(), start_worker()
    await asyncio.gather(first.holds(2), second.holds(2))
    await append(log, records[:third])
    await reader.until(SEALS // 8)
    joining = start_worker()
    await append(log, records[third : 2 * third])
    await joining.holds(1)
    assert joining.stop() == 0
    await append(log, records[2 * third :])
    await assert_all_sealed(log, reader)


LATE_FETCHES = """
import asyncio
from aiokafka.consumer.fetcher import Fetcher
from faust.tables.recovery import Recovery
proc, seek = Fetcher._proc_fetch_request, Recovery._seek_offsets
async def answered_late(*arguments):
    answer = await proc(*arguments)
    await asyncio.sleep(0.2)
    return answer
async def sought_and_then_waited(*arguments):
    await seek(*arguments)
    await asyncio.sleep(0.5)
Fetcher._proc_fetch_request, Recovery._seek_offsets = answered_late, sought_and_then_waited
"""
"""A fetch that waited through a rebalance is answered after the changelog was sought and before it is read."""

NO_CHANGELOG = """
from streams.agents.consumer import LowWaterConsumer
messages = LowWaterConsumer._messages
def without_changelog(self, fetched, active):
    return messages(self, {tp: got for tp, got in fetched.items() if not tp.topic.endswith("-changelog")}, active)
LowWaterConsumer._messages = without_changelog
"""


@pytest.mark.parametrize("broken_by", [LATE_FETCHES, NO_CHANGELOG], ids=["late-fetches", "no-changelog"])
async def test_no_worker_waits_for_the_changelog_after_a_rebalance(
    log: KafkaLog, start_worker: StartWorker, broken_by: str, seed: int
) -> None:
    records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
    half = len(records) // 2
    reader = SealReader(log, PARTITIONS)
    first = start_worker(broken_by=broken_by)
    await first.holds(PARTITIONS)
    await append(log, records[:half])
    await reader.until(SEALS // 8)
    await page_when(first, "/live", bool)  # so there is a changelog
    second = start_worker(broken_by=broken_by)
    await asyncio.gather(first.holds(PARTITIONS // 2), second.holds(PARTITIONS // 2))
    await append(log, records[half:])
    await assert_all_sealed(log, reader)


HANGING_SEEK = """
import asyncio
from streams.agents import app
from streams.agents.consumer import LowWaterConsumer
told, seek, hung = app._faust_settings, LowWaterConsumer.perform_seek, []
async def hangs_once(consumer):
    if not hung:
        hung.append(True)
        await asyncio.Event().wait()
    await seek(consumer)
app._faust_settings = lambda settings: {**told(settings), "broker_request_timeout": settings.session_timeout_s + 1}
LowWaterConsumer.perform_seek = hangs_once
"""


async def test_a_worker_that_is_not_ready_in_time_after_a_rebalance_tries_again(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    await append(log, several(CHANNELS, hours=HOURS, events_per_hour=30, seed=seed))
    worker = start_worker(broken_by=HANGING_SEEK)
    await assert_all_sealed(log, SealReader(log, PARTITIONS))
    assert b"twzrd_worker_recovery_restarts_total 1.0" in await worker.get("/metrics")


async def test_a_worker_stopped_beyond_its_session_and_continued_changes_nothing(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
    half = len(records) // 2
    reader = SealReader(log, PARTITIONS)
    stopped = start_worker()
    await stopped.holds(PARTITIONS)
    await append(log, records[:half])
    await reader.until(SEALS // 8)
    stopped.signal(signal.SIGSTOP)
    other = start_worker()
    await append(log, records[half:-CHANNELS])
    await other.holds(PARTITIONS)
    await reader.until(SEALS // 2)
    stopped.signal(signal.SIGCONT)
    await append(log, records[-CHANNELS:])
    await assert_all_sealed(log, reader)


async def test_the_broker_is_killed_and_comes_back(
    kafka_broker_private: Callable[[], DevKafka],
    kafka_prefix: str,
    worker_starter: Callable[[KafkaSettings], StartWorker],
    seed: int,
) -> None:
    broker = kafka_broker_private()
    settings = KafkaSettings(broker.start(), partitions=PARTITIONS, prefix=kafka_prefix)
    log = KafkaLog(settings)
    await log.open()
    try:
        records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
        half = len(records) // 2
        reader = SealReader(log, PARTITIONS)
        worker_starter(settings)()
        await append(log, records[:half])
        await reader.until(SEALS // 8)
        broker.kill()
        await asyncio.to_thread(broker.start)
        await append(log, records[half:])
        await assert_all_sealed(log, reader)
    finally:
        await log.close()


async def test_a_worker_started_before_its_broker_waits_for_it(
    kafka_broker_private: Callable[[], DevKafka],
    kafka_prefix: str,
    worker_starter: Callable[[KafkaSettings], StartWorker],
    seed: int,
) -> None:
    broker = kafka_broker_private()
    settings = KafkaSettings(broker.start(), partitions=PARTITIONS, prefix=kafka_prefix)
    await asyncio.to_thread(broker.stop)
    start = worker_starter(settings)
    worker, stopped_early = start(), start()
    for waiting in (worker, stopped_early):
        await waiting.logs("the worker tries again in")
    assert stopped_early.stop() == 0
    await asyncio.to_thread(broker.start)
    await worker.holds(PARTITIONS)
    log = KafkaLog(settings)
    await log.open()
    try:
        await append(log, several(CHANNELS, hours=HOURS, events_per_hour=30, seed=seed))
        await assert_all_sealed(log, SealReader(log, PARTITIONS))
    finally:
        await log.close()


async def test_without_low_water_commits_these_tests_would_fail(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    """The matrix can fail: with Faust's own commits, what open epochs had folded is gone after kill -9."""
    records = several(CHANNELS, hours=HOURS, events_per_hour=300, seed=seed)
    half = len(records) // 2
    reader = SealReader(log, PARTITIONS)
    await append(log, records[:half])
    stock = start_worker(instance="a", low_water=False)
    await reader.until(SEALS // 4)
    await asyncio.wait_for(committed_something(log), 60)
    stock.kill()
    start_worker(instance="a", low_water=False)
    await append(log, records[half:])
    wanted = await of_shards_fed_directly(log)
    with contextlib.suppress(TimeoutError):  # seals may be missing for good: that is a difference too
        await reader.until(SEALS)
    assert differences(wanted, reader.headers)


async def committed_something(log: KafkaLog) -> None:
    """Return when the group has committed in every partition."""
    for partition in range(PARTITIONS):
        while not await log.committed("work", "chat.events", partition):  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # Kafka tells nobody
