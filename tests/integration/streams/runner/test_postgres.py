"""The runner on Postgres: the same seals as a shard fed directly, whatever happens to its workers."""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from infra.postgres import EmbeddedPostgres
from schemas.envelope import decode, encode
from schemas.errors import SchemaError
from schemas.streams import CHAT_EVENTS
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import Lease, LogError
from streams.log.postgres import PostgresLog
from streams.runner.driver import OtherPepper, PositionLost
from streams.runner.leased import Limits
from streams.runner.metrics import RunnerMetrics
from streams.runner.postgres import run_postgres
from tests.generators import random_log
from tests.integration.streams.runner.expected import PEPPER, SCHEDULE, expected, found
from tests.integration.streams.runner.workers import Workers, load, load_slowly, settled

PARTITIONS = 4

pytestmark = pytest.mark.postgres


@pytest.fixture
async def log(pg_dsn: str) -> AsyncIterator[PostgresLog]:
    opened = PostgresLog(pg_dsn, partitions=PARTITIONS)
    await opened.open()
    yield opened
    await opened.close()


def type_of(value: bytes) -> str:
    """A record's type; "" where it does not decode."""
    try:
        return decode(value).type
    except SchemaError:
        return ""


async def caught_up(log: PostgresLog, metrics: RunnerMetrics) -> None:
    """Every partition's shard stands at its end."""
    ends = {partition: (await log.span(CHAT_EVENTS, partition))[1] for partition in range(PARTITIONS)}
    async with asyncio.timeout(60):
        while {partition: shard.next for partition, shard in metrics.shards.items()} != ends:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_runner_seals_what_a_shard_fed_directly_seals(log: PostgresLog, seed: int) -> None:
    await load(log, list(random_log(seed)))
    wanted = await expected(log)
    assert wanted.seals and wanted.late and wanted.dead
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(
        run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics, limits=Limits(batch_records=37))
    )
    await caught_up(log, metrics)
    stop.set()
    await task
    assert await found(log) == wanted
    assert sum(total.events_total for total in metrics.totals().values()) > 10_000


async def test_a_stopped_runner_leaves_its_position_and_its_partitions_to_the_next(log: PostgresLog, seed: int) -> None:
    records = list(random_log(seed))
    for piece in (records[:400], records[400:800], records[800:]):
        await load(log, piece)
        metrics, stop = RunnerMetrics(), asyncio.Event()
        task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="same", stop=stop, metrics=metrics))
        await caught_up(log, metrics)
        low_water = {status.partition: status.low_water for status in metrics.status()}
        stop.set()
        await task
        for partition, position in low_water.items():
            assert (await log.committed("work", CHAT_EVENTS, partition) or 0) == position
    wanted, said = await expected(log), await found(log)
    assert said == wanted


async def test_kill_9_at_any_moment_loses_and_repeats_nothing(
    log: PostgresLog, pg_dsn: str, seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    workers = Workers(tmp_path, ["--postgres", pg_dsn, "--partitions", str(PARTITIONS), "--lease-ttl-ms", "1000"])
    try:
        loading = asyncio.create_task(load_slowly(log, list(random_log(seed, channels=10)), rng, over_s=12.0))
        for name in ("a", "b"):
            workers.start(name)
        while not loading.done() or workers.kills < 8:
            await asyncio.sleep(rng.uniform(0.3, 2.0))
            name = rng.choice(sorted(workers.running))
            workers.kill(name)
            workers.start(name if rng.random() < 0.5 else f"{name[0]}{workers.kills}")
        await loading
        wanted, said = await settled(log)
        assert said == wanted  # every seal, and each exactly once
        assert [workers.stop(name) for name in sorted(workers.running)] == [0, 0]
    finally:
        workers.end()


async def test_a_worker_stopped_past_its_lease_and_continued_writes_nothing(
    log: PostgresLog, pg_dsn: str, seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    workers = Workers(tmp_path, ["--postgres", pg_dsn, "--partitions", str(PARTITIONS), "--lease-ttl-ms", "1000"])
    try:
        loading = asyncio.create_task(load_slowly(log, list(random_log(seed, channels=10)), rng, over_s=10.0))
        for name in ("a", "b"):
            workers.start(name)
        stopped = "a"
        while not loading.done():
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            workers.signal(stopped, signal.SIGSTOP)
            await asyncio.sleep(2.0)  # the stall itself: twice the lease
            workers.signal(stopped, signal.SIGCONT)
            stopped = "b" if stopped == "a" else "a"
        await loading
        wanted, said = await settled(log)
        assert said == wanted
    finally:
        workers.end()


async def test_an_idle_worker_takes_next_to_no_cpu(log: PostgresLog) -> None:
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="idle", stop=stop, metrics=metrics))
    await caught_up(log, metrics)

    before_s = time.process_time()
    await asyncio.sleep(2.0)
    assert time.process_time() - before_s < 0.2
    stop.set()
    await task


async def test_metrics_show_where_each_partition_stands(log: PostgresLog, seed: int) -> None:
    await load(log, list(random_log(seed, channels=4, hours=3)))
    registry, metrics, stop = CollectorRegistry(), RunnerMetrics(), asyncio.Event()
    metrics.register(registry)
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics))
    await caught_up(log, metrics)
    shown = generate_latest(registry).decode()
    for partition, shard in metrics.shards.items():
        assert f'twzrd_shard_next{{partition="{partition}"}} {float(shard.next)}' in shown
        assert f'twzrd_shard_sealed_total{{partition="{partition}"}}' in shown
        assert metrics.status()[partition].lag_records == 0
    stop.set()
    await task


async def test_a_database_killed_and_started_again_loses_and_repeats_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    server = EmbeddedPostgres(tmp_path / "pg")
    log = PostgresLog(server.start(), partitions=PARTITIONS)
    await log.open()
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics))
    try:
        records = list(random_log(seed))
        for start in range(0, len(records), 20):
            while True:
                try:
                    await load(log, records[start : start + 20])
                    break
                except LogError:
                    await asyncio.to_thread(server.start)
            # A backend may outlive its killed postmaster by one append: then there is nothing left to kill.
            if rng.random() < 0.06 and (pid := server.running_pid()) is not None:
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(server.start)
        wanted, said = await settled(log)
        assert said == wanted
        assert metrics.counters.log_lost_total > 0
        stop.set()
        await task
    finally:
        await log.close()
        server.stop()
        server.destroy()


async def test_a_worker_started_before_its_database_waits_for_it(tmp_path: Path, seed: int) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", durable=False)
    dsn = server.start()
    server.stop()
    workers = Workers(tmp_path, ["--postgres", dsn, "--partitions", str(PARTITIONS)])
    try:
        for name in ("one", "two"):
            workers.start(name)
            await workers.logs(name, "the worker tries again in")
        assert workers.stop("one") == 0
        assert server.start() == dsn
        log = PostgresLog(dsn, partitions=PARTITIONS)
        await log.open()
        try:
            await load(log, list(random_log(seed, channels=3, hours=3)))
            wanted, said = await settled(log)
            assert said == wanted
            assert workers.stop("two") == 0
        finally:
            await log.close()
    finally:
        workers.end()
        server.stop()
        server.destroy()


async def test_a_log_trimmed_below_the_stored_position_is_refused(log: PostgresLog, seed: int) -> None:
    await load(log, list(random_log(seed, channels=8, hours=3)))
    for partition in range(PARTITIONS):
        await log.commit("work", CHAT_EVENTS, partition, 20)
        await log.trim(CHAT_EVENTS, partition, 20)
        await log.commit("work", CHAT_EVENTS, partition, 10)
    with pytest.raises(PositionLost, match="trimmed too early"):
        await run_postgres(log, SCHEDULE, PEPPER, worker="one", limits=Limits(lease_interval_s=0.1))


async def test_a_log_sealed_with_another_pepper_is_refused(log: PostgresLog, seed: int) -> None:
    await load(log, list(random_log(seed, channels=8, hours=3)))
    stop = asyncio.Event()
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop))
    wanted, said = await settled(log)
    stop.set()
    await task
    with pytest.raises(OtherPepper, match="the same pepper file"):
        await run_postgres(log, SCHEDULE, bytes(32), worker="two", limits=Limits(lease_interval_s=0.1))
    assert said == wanted == await found(log)


async def test_leases_are_renewed_while_a_long_file_is_sealed(
    log: PostgresLog, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end record closes a whole file, which may take longer than a lease: another worker would take the partition
    over and do the same, and so on for ever."""
    await load(
        log, [*random_log(seed, channels=3, hours=3), (b"twitch:id:9", encode("end", "twitch:id:9", "n", "s", 0))]
    )
    wanted = await expected(log)
    sealing, renewed = threading.Event(), threading.Event()
    feed, acquire = Shard.feed, log.acquire
    waited: list[bool] = []

    def feeds_slowly(shard: Shard, offset: int, value: bytes) -> list[Output | ResealRequest]:
        if type_of(value) == "end":
            sealing.set()
            waited.append(renewed.wait(20))
        return feed(shard, offset, value)

    async def acquires(group: str, stream: str, worker: str, *, at_most: int | None = None) -> Sequence[Lease]:
        leases = await acquire(group, stream, worker, at_most=at_most)
        if sealing.is_set():
            renewed.set()
        return leases

    monkeypatch.setattr(Shard, "feed", feeds_slowly)
    monkeypatch.setattr(log, "acquire", acquires)
    stop = asyncio.Event()
    limits = Limits(lease_interval_s=0.05)
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, limits=limits))
    said = None
    async with asyncio.timeout(60):
        while said != wanted:
            said = await found(log)
            await asyncio.sleep(0.05)
    stop.set()
    await task
    assert waited and all(waited)


async def test_a_transaction_too_large_is_cut_and_still_exact(log: PostgresLog, seed: int) -> None:
    await load(log, list(random_log(seed)))
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(
        run_postgres(
            log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics, limits=Limits(transaction_bytes=1)
        )
    )
    wanted, said = await settled(log)
    assert said == wanted
    assert metrics.counters.transactions_total >= metrics.counters.outputs_total
    stop.set()
    await task
