"""The whole way on one database: the Postgres log, projections in a process of their own that is killed with -9."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from projections import read
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.rebuild import rebuild
from projections.runner import Connect
from projections.sealed import SealedProjection
from schemas.sealed import encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append
from streams.log.postgres import PostgresLog
from tests.integration.projections.test_exactly_once import heard
from tests.seals import HOUR_S, T0_S, seal_of, viewers

PROJECT = Path(__file__).parents[3]
KILLS = 5
SEALS = 120

# Many small steps, so that a kill falls between and into them.
CHILD = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from projections import reader, runner
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.sealed import SealedProjection
from streams.log.postgres import PostgresLog

reader.READ_RECORDS, runner.MAX_BATCH_BYTES = 2, 1

async def main(dsn):
    log, metrics = PostgresLog(dsn, partitions=2), ProjectionMetrics(CollectorRegistry())
    await log.open()
    connect = runner.connector(dsn)
    await runner.run_all([runner.ProjectionRunner(log, one, connect, metrics)
                          for one in (SealedProjection(metrics), NamesProjection())])

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
async def pg_log(pg_dsn: str) -> AsyncIterator[PostgresLog]:
    log = PostgresLog(pg_dsn, partitions=2)
    await log.open()
    yield log
    await log.close()


@pytest.mark.slow
async def test_of_two_processes_one_works_and_the_other_takes_over_when_it_is_killed(
    db: Any, pg_dsn: str, pg_log: PostgresLog
) -> None:
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, pg_dsn, cwd=PROJECT) for _ in range(2)
    ]
    try:
        async with heard(db) as seals:
            for number in range(4):
                if number == 2:
                    children[0].kill()
                    await children[0].wait()
                for seal in (
                    seal_of(viewers(1, 2), epoch_start_s=T0_S + number * HOUR_S),
                    seal_of(viewers(1, 2), channel="twitch:id:101", epoch_start_s=T0_S + number * HOUR_S),
                ):
                    values = [encode_record(record) for record in split_seal(seal)]
                    await pg_log.append(EPOCH_SEALED, [Append(number % 2, b"k", value) for value in values])
                while await db.fetchval("select count(*) from sealed_epochs") < 2 * (number + 1):
                    await asyncio.wait_for(seals.get(), 60)
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                await child.wait()
    assert len(await read.viewer_epochs(db, "twitch:id:1")) == 8


@pytest.mark.slow
async def test_projections_killed_again_and_again_neither_lose_nor_double_a_seal(
    db: Any, pg_dsn: str, pg_log: PostgresLog, connect: Connect
) -> None:
    for number in range(SEALS):
        channel = 100 + number % 4
        seal = seal_of(
            viewers(1, 2, 1000 + number), channel=f"twitch:id:{channel}", epoch_start_s=T0_S + number // 4 * HOUR_S
        )
        values = [encode_record(record) for record in split_seal(seal)]
        await pg_log.append(EPOCH_SEALED, [Append(channel % 2, b"k", value) for value in values])
    async with heard(db) as seals:
        for kill in range(KILLS + 1):
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, pg_dsn, cwd=PROJECT)
            # Not at the end before the last time; then all that is left.
            enough = SEALS if kill == KILLS else 10 * (kill + 1)
            while await db.fetchval("select count(*) from sealed_epochs") < enough:
                await asyncio.wait_for(seals.get(), 60)
            child.kill()
            await child.wait()
    assert len(await read.viewer_epochs(db, "twitch:id:1")) == SEALS
    assert await db.fetchval("select count(*) from viewer_epochs") == 3 * SEALS
    metrics = ProjectionMetrics(CollectorRegistry())
    for made in (SealedProjection(metrics), NamesProjection()):
        await rebuild(pg_log, made, connect, metrics)
    assert metrics.repeated._value.get() == 0
