"""The direct engine on a real broker: the same seals as a shard fed directly, whatever happens to its workers."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from infra.kafka import DevKafka
from schemas.envelope import encode
from schemas.errors import SchemaError
from schemas.streams import CHAT_EVENTS
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.port import Append, LogError
from streams.runner import kafka, outbox
from streams.runner.driver import OtherPepper, PositionLost
from streams.runner.kafka import DirectRunner, DirectSettings, run_direct
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


async def test_records_that_are_not_next_are_never_folded(log: KafkaLog, seed: int) -> None:
    """The consumer is pushed off its place again and again, as Faust's recovery or a late fetch would."""
    await load(log, list(random_log(seed)))
    rng, metrics, stop = random.Random(seed), RunnerMetrics(), asyncio.Event()
    runner = DirectRunner(
        log,
        SCHEDULE,
        PEPPER,
        settings=DirectSettings(session_timeout_ms=6_000, max_poll_records=40),
        archive=None,
        metrics=metrics,
    )
    task = asyncio.create_task(runner.run(stop))
    working = asyncio.create_task(caught_up(log, metrics))
    while not working.done():
        await asyncio.sleep(0.01)
        for partition, shard in metrics.shards.items():
            if rng.random() < 0.3:
                place = TopicPartition(log.settings.topic(CHAT_EVENTS), partition)
                runner._consumer.seek(place, max(0, shard.next + rng.randint(-20, 20)))
    await working
    stop.set()
    await task
    assert metrics.counters.guard_seeks_total > 0
    assert (await found(log)).once() == (await expected(log)).once()


async def test_offsets_that_hold_kafkas_own_markers_are_passed_over(log: KafkaLog, seed: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=log.settings.servers, transactional_id=log.settings.prefix)
    await producer.start()
    topic = log.settings.topic(CHAT_EVENTS)
    records = list(random_log(seed, channels=3, hours=3))
    for start in range(0, len(records), 20):  # each transaction ends with a marker that takes an offset
        async with producer.transaction():
            for key, value in records[start : start + 20]:
                await producer.send(topic, value, key)
    await producer.stop()
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
    wanted, said = await settled(log)
    assert said == wanted and wanted.seals
    assert metrics.counters.gap_skips_total > 0
    stop.set()
    await task


async def test_a_log_trimmed_below_the_committed_offset_is_refused(log: KafkaLog, seed: int) -> None:
    await load(log, list(random_log(seed, channels=3, hours=3)))
    admin = AIOKafkaAdminClient(bootstrap_servers=log.settings.servers)
    await admin.start()
    for partition in range(PARTITIONS):
        _, end = await log.span(CHAT_EVENTS, partition)
        if end > 20:
            await log.commit("work", CHAT_EVENTS, partition, 10)
            place = TopicPartition(log.settings.topic(CHAT_EVENTS), partition)
            await admin.delete_records({place: RecordsToDelete(20)})
    await admin.close()
    with pytest.raises(PositionLost, match="trimmed too early"):
        await run_direct(log, SCHEDULE, PEPPER, settings=QUICK)


async def test_a_position_beyond_the_logs_end_is_told_and_nothing_is_folded(
    log: KafkaLog, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that lost its disk, or one whose replica took over without the newest records."""
    await load(log, list(random_log(seed, channels=8, hours=3)))
    for partition in range(PARTITIONS):
        _, end = await log.span(CHAT_EVENTS, partition)
        await log.commit("work", CHAT_EVENTS, partition, end + 5)
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
    async with asyncio.timeout(60):
        while metrics.counters.log_lost_total < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await task
    assert "its newest records are gone" in caplog.text
    assert metrics.shards == {} and not (await found(log)).seals


async def test_a_log_that_ends_below_what_was_folded_is_folded_again(log: KafkaLog, seed: int) -> None:
    """As if it had been longer when the shard was fed: the consumer, sought beyond the end, starts at the beginning."""
    await load(log, list(random_log(seed)))
    metrics, stop = RunnerMetrics(), asyncio.Event()
    runner = DirectRunner(log, SCHEDULE, PEPPER, settings=QUICK, archive=None, metrics=metrics)
    task = asyncio.create_task(runner.run(stop))
    await caught_up(log, metrics)
    started = metrics.counters.shards_started_total
    filled = {partition: held for partition, held in runner._held.items() if held.shard.next}
    for partition, held in filled.items():
        held.shard._promise(held.committed)  # something is still needed from there, so no commit goes beyond the end
        held.shard.skip_to(held.shard.next + 5)
        runner._consumer.seek(TopicPartition(log.settings.topic(CHAT_EVENTS), partition), held.shard.next)
        held.sought = held.shard.next
    await caught_up(log, metrics)
    assert metrics.counters.shards_started_total == started + len(filled)
    stop.set()
    await task
    assert (await found(log)).once() == (await expected(log)).once()


@pytest.mark.parametrize("ended_by", ["stop", "failure"])
async def test_a_full_outbox_holds_up_neither_a_stop_nor_its_own_failure(
    ended_by: str, log: KafkaLog, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_OUTPUTS", 0)
    monkeypatch.setattr(kafka, "FLUSH_S", 0.5)
    await load(log, list(random_log(seed, channels=8, hours=3)))
    called, failing = asyncio.Event(), asyncio.Event()

    async def append(stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        called.set()
        if ended_by == "stop":
            raise LogError("away for good")
        await failing.wait()
        raise SchemaError("cannot be understood")

    monkeypatch.setattr(log, "append", append)
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
    async with asyncio.timeout(30):
        await called.wait()
        while not metrics.counters.outbox_full_total:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if ended_by == "stop":
            stop.set()
            await task
        else:
            failing.set()
            with pytest.raises(SchemaError, match="cannot be understood"):
                await task


async def test_the_worker_is_heard_while_a_long_file_is_sealed(
    log: KafkaLog, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end record closes a whole file, which may take longer than a session; the marks are committed meanwhile."""
    await load(log, list(random_log(seed)))
    await log.append(CHAT_EVENTS, [Append(None, b"twitch:id:9", encode("end", "twitch:id:9", "nine", "test", 0))])
    wanted = await expected(log)
    feed, loop, heard = Shard.feed, asyncio.get_running_loop(), list[bool]()
    metrics, stop = RunnerMetrics(), asyncio.Event()
    runner = DirectRunner(log, SCHEDULE, PEPPER, settings=QUICK, archive=None, metrics=metrics)

    def feeds_slowly(shard: Shard, offset: int, value: bytes) -> list[Output | ResealRequest]:
        made = feed(shard, offset, value)
        if value[2:6] == b"\xa3end":
            committing = asyncio.run_coroutine_threadsafe(runner._commit(), loop)
            try:
                committing.result(20)
            except TimeoutError:
                heard.append(False)
            else:
                heard.append(True)
        return made

    monkeypatch.setattr(Shard, "feed", feeds_slowly)
    task = asyncio.create_task(runner.run(stop))
    await caught_up(log, metrics)
    stop.set()
    await task
    assert heard and all(heard)
    assert await found(log) == wanted


async def test_a_log_sealed_with_another_pepper_is_refused(log: KafkaLog, seed: int) -> None:
    await load(log, list(random_log(seed, channels=8, hours=3)))
    stop = asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop))
    await settled(log)
    stop.set()
    await task
    said = await found(log)
    with pytest.raises(OtherPepper, match="the same pepper file"):
        await run_direct(log, SCHEDULE, bytes(32), settings=QUICK)
    assert await found(log) == said


async def test_a_broker_killed_and_started_again_loses_nothing(
    kafka_broker_private: Callable[[], DevKafka], seed: int
) -> None:
    broker = kafka_broker_private()
    rng = random.Random(seed)
    log = KafkaLog(KafkaSettings(broker.start(), partitions=PARTITIONS))
    await log.open()
    records = list(random_log(seed))
    await load(log, records[:600])
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_direct(log, SCHEDULE, PEPPER, settings=QUICK, stop=stop, metrics=metrics))
    loading = asyncio.create_task(load_slowly(log, records[600:], rng, over_s=5.0))
    await asyncio.sleep(rng.uniform(1.0, 4.0))
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(rng.uniform(0.5, 3.0))
    await asyncio.to_thread(broker.start)
    await loading
    wanted, said = await settled(log, within_s=120)
    assert said.once() == wanted.once()
    stop.set()
    await task
    await log.close()


async def test_a_worker_started_before_its_broker_waits_for_it(
    kafka_broker_private: Callable[[], DevKafka], kafka_prefix: str, tmp_path: Path, seed: int
) -> None:
    broker = kafka_broker_private()
    address = broker.start()
    await asyncio.to_thread(broker.stop)
    workers = Workers(tmp_path, ["--kafka", address, "--prefix", kafka_prefix, "--partitions", str(PARTITIONS)])
    try:
        for name in ("one", "two"):
            workers.start(name)
            await workers.logs(name, "the worker tries again in")
        assert workers.stop("one") == 0
        await asyncio.to_thread(broker.start)
        log = KafkaLog(KafkaSettings(address, partitions=PARTITIONS, prefix=kafka_prefix))
        await log.open()
        try:
            await load(log, list(random_log(seed)))
            wanted, said = await settled(log)
            assert said.once() == wanted.once()
        finally:
            await log.close()
        assert workers.stop("two") == 0
    finally:
        workers.end()
