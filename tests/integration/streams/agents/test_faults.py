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
from tests.integration.streams.agents.conftest import PARTITIONS, StartWorker

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
