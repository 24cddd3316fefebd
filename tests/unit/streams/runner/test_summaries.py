"""A worker that starts reads `epoch.sealed` from the latest summary on, and all of it where there is none to trust."""

import pytest

from schemas.sealed import VERSION, Closed, encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append, LogRecord
from streams.runner import driver
from streams.runner.driver import RESUME_GROUP, load_resume
from tests.memory_log import MemoryLog
from tests.seals import seal_of, viewers

HOUR_S = 3600


class Watched(MemoryLog):
    """Notes from where each reading of epoch.sealed began."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[int] = []

    async def read(
        self, stream: str, partition: int, start: int, *, max_records: int = 1000, max_bytes: int = 8 << 20,
        wait_ms: int = 0,
    ) -> list[LogRecord]:  # fmt: skip
        self.starts.append(start)
        return await super().read(
            stream, partition, start, max_records=max_records, max_bytes=max_bytes, wait_ms=wait_ms
        )


async def close_hours(log: MemoryLog, first: int, count: int) -> None:
    for hour in range(first, first + count):
        said = Closed(VERSION, "twitch:id:1", "a", hour * HOUR_S, (hour + 1) * HOUR_S, 10 * hour, "watermark", hour)
        await log.append(EPOCH_SEALED, [Append(0, b"key", encode_record(said))])


@pytest.fixture
async def log() -> Watched:
    opened = Watched()
    await opened.open()
    return opened


def latest(resume: object) -> tuple[int, int, int | None]:
    found = resume.latest("twitch:id:1")  # type: ignore[attr-defined]
    return found.until_ms, found.offset, found.frontier_ms


async def test_the_next_worker_reads_on_from_the_summary(log: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SEAL_WITHIN_RECORDS", 0)
    await close_hours(log, 0, 20)
    await load_resume(log, 0, 50, HOUR_S, summary_after=10)
    assert await log.committed(RESUME_GROUP, EPOCH_SEALED, 0) == 20
    await close_hours(log, 20, 3)
    log.starts.clear()
    resume = await load_resume(log, 0, 60, HOUR_S, summary_after=10)
    assert min(log.starts) == 20
    assert latest(resume) == (23 * HOUR_S * 1000, 220, 22)
    assert resume.closed_at("twitch:id:1", 7 * HOUR_S * 1000) == 60
    assert resume.closed_at("twitch:id:1", 5 * HOUR_S * 1000) < 60


async def test_the_next_worker_knows_the_newest_seal_before_the_summary(log: Watched) -> None:
    seal = seal_of(viewers(1))
    await log.append(EPOCH_SEALED, [Append(0, b"k", encode_record(one)) for one in split_seal(seal)])
    await close_hours(log, 1, 20)
    await load_resume(log, 0, 50, HOUR_S, summary_after=10)
    resume = await load_resume(log, 0, 50, HOUR_S, summary_after=10)
    assert resume.newest_header == seal.header.encode()


async def test_a_short_history_leaves_no_summary(log: Watched) -> None:
    await close_hours(log, 0, 9)
    await load_resume(log, 0, 0, HOUR_S, summary_after=10)
    assert (await log.span(EPOCH_SEALED, 0))[1] == 9


async def test_a_worker_that_starts_below_the_summarys_start_reads_everything(log: Watched) -> None:
    await close_hours(log, 0, 20)
    await load_resume(log, 0, 150, HOUR_S, summary_after=10)
    log.starts.clear()
    resume = await load_resume(log, 0, 30, HOUR_S, summary_after=100)
    assert log.starts.count(0) == 1
    assert resume.closed_at("twitch:id:1", 5 * HOUR_S * 1000) == 40


async def test_a_noted_position_without_its_summary_is_not_trusted(log: Watched) -> None:
    await close_hours(log, 0, 20)
    await log.commit(RESUME_GROUP, EPOCH_SEALED, 0, 15)
    resume = await load_resume(log, 0, 0, HOUR_S, summary_after=100)
    assert resume.closed_at("twitch:id:1", 1 * HOUR_S * 1000) == 0
    assert latest(resume) == (20 * HOUR_S * 1000, 190, 19)
