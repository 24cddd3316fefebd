"""Late events end in revision 1: by the horizon's timer or by command, from the log or from the archive alike."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from schemas.seal import decode_header
from schemas.sealed import Seal, decode_record
from schemas.streams import CHAT_EVENTS, EPOCH_SEALED
from streams.core.outputs import RESEAL, ResealRequest
from streams.core.shard import Shard
from streams.log.archive import read_archive, write_archive
from streams.log.port import LogError
from streams.log.postgres import PostgresLog
from streams.runner.driver import load_resume
from streams.runner.metrics import RunnerMetrics
from streams.runner.postgres import run_postgres
from streams.runner.reseal import ArchiveReader, answer
from streams.runner.resealer import Resealer, request_reseal
from tests.generators import random_log
from tests.integration.streams.runner.expected import PEPPER, SCHEDULE, expected, found, records_of
from tests.integration.streams.runner.workers import load, settled

pytestmark = pytest.mark.postgres
HORIZON_MS = 21_600_000


@pytest.fixture
async def log(pg_dsn: str) -> AsyncIterator[PostgresLog]:
    opened = PostgresLog(pg_dsn, partitions=1)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def worked(log: PostgresLog, seed: int) -> AsyncIterator[PostgresLog]:
    """A log with late events that a running worker has sealed."""
    await load(log, [record for record in random_log(seed, channels=3) if b"timer" not in record[1]])
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics))
    wanted, said = await settled(log)
    assert said == wanted and wanted.late
    yield log
    stop.set()
    await task


def clock(times_ms: list[int]) -> int:
    """The wall clock of a test: the last time it was set to."""
    return times_ms[-1]


async def newest_notice_ms(log: PostgresLog) -> int:
    return max(record.time_ms for record in await log.read(EPOCH_SEALED, 0, 0, max_records=100_000))


async def test_the_timer_asks_once_for_each_late_epoch_and_the_worker_answers(worked: PostgresLog) -> None:
    late_epochs = {(channel, epoch_s) for channel, epoch_s, _ in (await found(worked)).late}
    times_ms = [await newest_notice_ms(worked)]
    resealer = Resealer(worked, SCHEDULE, now_ms=partial(clock, times_ms))
    assert await resealer.round() == 0  # nobody has waited long enough
    assert resealer.waiting() == len(late_epochs)
    times_ms.append(times_ms[0] + HORIZON_MS)
    assert await resealer.round() == len(late_epochs)
    assert await resealer.round() == 0
    wanted, said = await settled(worked)
    assert said == wanted
    answered = {
        (record.channel, record.epoch_start_s)
        for record in (decode_record(value) for _, value in await records_of(worked, EPOCH_SEALED, 0))
        if isinstance(record, Seal) and record.closed_by == RESEAL
    }
    assert answered and answered <= late_epochs
    # A restarted timer reads on from its position, and finds every notice answered.
    again = Resealer(worked, SCHEDULE, now_ms=partial(clock, times_ms))
    assert await again.round() == 0
    assert again.waiting() == 0


async def test_a_restarted_timer_still_knows_what_waits(worked: PostgresLog) -> None:
    times_ms = [await newest_notice_ms(worked)]
    first = Resealer(worked, SCHEDULE, now_ms=partial(clock, times_ms))
    await first.round()
    second = Resealer(worked, SCHEDULE, now_ms=partial(clock, times_ms))
    await second.round()
    assert second.waiting() == first.waiting() > 0


async def test_a_command_asks_for_one_revision(worked: PostgresLog) -> None:
    header = next(header for header in map(decode_header, (await found(worked)).seals) if header.leaf_count)
    before = len((await found(worked)).seals)
    place = await request_reseal(worked, header.channel, header.epoch_start_s, 3600)
    assert place[0] == 0
    wanted, said = await settled(worked)
    assert said == wanted
    assert len(said.seals) == before + 1
    logins = {
        record.login
        for record in (decode_record(value) for _, value in await records_of(worked, EPOCH_SEALED, 0))
        if isinstance(record, Seal) and record.channel == header.channel
    }
    assert "" not in logins


async def test_log_and_archive_give_the_same_revision(log: PostgresLog, seed: int, tmp_path: Path) -> None:
    await load(log, list(random_log(seed, channels=3)))
    wanted = await expected(log)
    metrics, stop = RunnerMetrics(), asyncio.Event()
    task = asyncio.create_task(run_postgres(log, SCHEDULE, PEPPER, worker="one", stop=stop, metrics=metrics))
    assert (await settled(log))[1] == wanted
    stop.set()
    await task
    sealed = [decode_record(value) for _, value in await records_of(log, EPOCH_SEALED, 0)]
    seal = max((one for one in sealed if isinstance(one, Seal)), key=lambda one: one.through_offset - one.from_offset)
    _, offset = await request_reseal(log, seal.channel, seal.epoch_start_s, 3600, login="x")
    _, end = await log.span(CHAT_EVENTS, 0)
    write_archive(tmp_path, [(0, record) for record in await log.read(CHAT_EVENTS, 0, 0, max_records=100_000)])
    from_log = await _answered(log, offset, None)
    assert from_log
    await log.commit("work", CHAT_EVENTS, 0, end)  # else the log keeps what the worker needs
    for cut in (seal.from_offset + 5, offset):
        assert await log.trim(CHAT_EVENTS, 0, cut) == cut
        with pytest.raises(LogError, match="archive"):
            await _answered(log, offset, None)
        assert await _answered(log, offset, partial(read_archive, tmp_path)) == from_log


async def _answered(log: PostgresLog, offset: int, archive: ArchiveReader | None) -> list[bytes]:
    """The records that answer the reseal record at that offset, said by a shard that starts right there."""
    shard = Shard(SCHEDULE, PEPPER, offset, await load_resume(log, 0, offset, 3600))
    (record,) = await log.read(CHAT_EVENTS, 0, offset, max_records=1)
    (request,) = shard.feed(offset, record.value)
    assert isinstance(request, ResealRequest)
    made = await answer(log, shard, 0, request, archive)
    return [value for _, value in made.records] if made else []
