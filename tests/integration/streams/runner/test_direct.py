"""The direct engine on a real broker: the same seals as a shard fed directly, whatever happens to its workers."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.runner.kafka import DirectSettings, run_direct
from streams.runner.metrics import RunnerMetrics
from tests.generators import random_log
from tests.integration.streams.runner.expected import PEPPER, SCHEDULE, expected, found
from tests.integration.streams.runner.workers import Workers, load, load_slowly, settled

PARTITIONS = 4
QUICK = DirectSettings(session_timeout_ms=6_000, heartbeat_interval_ms=500)

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka_broker: str, kafka_prefix: str) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(KafkaSettings(kafka_broker, partitions=PARTITIONS, prefix=kafka_prefix))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def workers(log: KafkaLog, tmp_path: Path) -> Workers:
    where = ["--kafka", log.settings.servers, "--prefix", log.settings.prefix, "--partitions", str(PARTITIONS)]
    return Workers(tmp_path, [*where, "--session-timeout-ms", "6000"])


async def caught_up(log: KafkaLog, metrics: RunnerMetrics) -> None:
    """Every partition's shard stands at its end and has nothing left to say."""
    ends = {partition: (await log.span(CHAT_EVENTS, partition))[1] for partition in range(PARTITIONS)}
    async with asyncio.timeout(60):
        while {partition: shard.next for partition, shard in metrics.shards.items()} != ends:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_direct_engine_seals_what_a_shard_fed_directly_seals(log: KafkaLog, seed: int) -> None:
    await load(log, list(random_log(seed)))
    wanted = await expected(log)
    assert wanted.seals and wanted.late and wanted.dead
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
    await caught_up(log, metrics)
    stop.set()
    await task
    assert await found(log) == wanted


async def test_a_stopped_worker_leaves_low_water_marks_to_the_next(log: KafkaLog, seed: int) -> None:
    records = list(random_log(seed))
    for piece in (records[:500], records[500:]):
        await load(log, piece)
        metrics, stop = RunnerMetrics(), asyncio.Event()
        task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
        await caught_up(log, metrics)
        stop.set()
        shards = dict(metrics.shards)
        await task
        for partition, shard in shards.items():
            assert (await log.committed("work", CHAT_EVENTS, partition) or 0) == shard.low_water()
    assert (await found(log)).seals == (await expected(log)).seals


async def test_kill_9_and_rebalances_lose_nothing_and_say_no_other_seal(
    log: KafkaLog, workers: Workers, seed: int
) -> None:
    rng = random.Random(seed)
    try:
        loading = asyncio.create_task(load_slowly(log, list(random_log(seed, channels=10)), rng, over_s=30.0))
        for name in ("a", "b"):
            workers.start(name)
        while not loading.done() or workers.kills < 4:
            await asyncio.sleep(rng.uniform(2.0, 6.0))
            if "c" not in workers.running and rng.random() < 0.5:
                workers.start("c")  # a third one joins, and leaves in good order
            elif "c" in workers.running:
                assert workers.stop("c") == 0
            name = rng.choice(("a", "b"))
            workers.kill(name)
            workers.start(name)
        await loading
        wanted, said = await settled(log)
        assert said.once() == wanted.once()
        assert all(workers.stop(name) == 0 for name in sorted(workers.running)), workers.errors()[-3000:]
    finally:
        workers.end()


async def test_a_worker_stopped_past_its_session_and_continued_says_no_other_seal(
    log: KafkaLog, workers: Workers, seed: int
) -> None:
    rng = random.Random(seed)
    try:
        loading = asyncio.create_task(load_slowly(log, list(random_log(seed, channels=10)), rng, over_s=25.0))
        for name in ("a", "b"):
            workers.start(name)
        stopped = "a"
        while not loading.done():
            await asyncio.sleep(rng.uniform(2.0, 4.0))
            workers.signal(stopped, signal.SIGSTOP)
            await asyncio.sleep(8.0)  # the stall itself: longer than the session
            workers.signal(stopped, signal.SIGCONT)
            stopped = "b" if stopped == "a" else "a"
        await loading
        wanted, said = await settled(log)
        assert said.once() == wanted.once()
    finally:
        workers.end()
