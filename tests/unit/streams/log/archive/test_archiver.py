"""The archiver over a log in memory: durable first, committed after, whatever fails in between."""

import asyncio
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.archive import ArchiveError, archiver, read_records, write_archive
from streams.log.archive.archiver import GROUP, Archiver
from streams.log.archive.files import find_files
from streams.log.port import Append, LogError, LogRecord
from tests.archive_records import NOON_MS, Pair, record
from tests.memory_log import MemoryLog


async def filled(records: int, partitions: int = 2, pad: int = 0) -> MemoryLog:
    log = MemoryLog(partitions)
    made = [record(n, "abc"[n % 3], pad=pad) for n in range(records)]
    await log.append(CHAT_EVENTS, [Append(n % partitions, one.key, one.value) for n, one in enumerate(made)])
    return log


async def all_of(log: MemoryLog) -> list[Pair]:
    return [
        (partition, made)
        for partition in range(await log.partitions(CHAT_EVENTS))
        for made in await log.read(CHAT_EVENTS, partition, 0, max_records=10**6, max_bytes=1 << 40)
    ]


def archived(root: Path) -> list[Pair]:
    return sorted(read_records(root))


async def test_the_archive_holds_the_log_and_the_position_follows(tmp_path: Path) -> None:
    log = await filled(50)
    keeper = Archiver(log, tmp_path)
    while await keeper.step():
        pass
    assert log.commits == []
    await keeper.flush()
    assert archived(tmp_path) == await all_of(log)
    assert log.positions == {(GROUP, CHAT_EVENTS, 0): 25, (GROUP, CHAT_EVENTS, 1): 25}
    assert (keeper.records_total, keeper.files_total) == (50, len(find_files(tmp_path)))
    await keeper.flush()
    assert len(log.commits) == 2


async def test_a_second_archiver_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    log = await filled(30)
    for _ in range(3):
        await log.append(CHAT_EVENTS, [Append(0, b"twitch:login:x", b"not an envelope")])
        keeper = Archiver(log, tmp_path)
        while await keeper.step():
            pass
        await keeper.flush()
    assert archived(tmp_path) == await all_of(log)
    assert sum(name.last - name.first + 1 for name in find_files(tmp_path) if "x" in name.path.parts) == 3


async def test_a_folder_is_filled_by_what_lies_in_it_whatever_another_one_has_taken(tmp_path: Path) -> None:
    """Two machines with a folder each, or a disk that was lost: the group's position is not this folder's."""
    log = await filled(30)
    mine, other = tmp_path / "mine", tmp_path / "other"
    for root in (mine, other, mine):
        await log.append(CHAT_EVENTS, [Append(0, b"k", b"one more")])
        keeper = Archiver(log, root)
        while await keeper.step():
            pass
        await keeper.flush()
        assert archived(root) == await all_of(log)
    assert keeper.skipped_total == 0


async def test_undecodable_records_are_kept_and_counted(tmp_path: Path) -> None:
    log = MemoryLog(1)
    await log.append(CHAT_EVENTS, [Append(0, b"twitch:id:5", value) for value in (b"", b"junk", b"\x00" * 99)])
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    await keeper.flush()
    assert keeper.unreadable_total == 3
    assert archived(tmp_path) == await all_of(log)


@pytest.mark.parametrize("bound", [{"flush_bytes": 20_000}, {"flush_records": 10}, {"flush_age_s": 0.0}])
async def test_each_bound_flushes(tmp_path: Path, bound: dict[str, float]) -> None:
    log = await filled(100, pad=2000)
    keeper = Archiver(log, tmp_path, **bound)  # type: ignore[arg-type]
    while await keeper.step():
        assert len(keeper._buffer.rows) < 100
    assert keeper.files_total > 0
    await keeper.flush()
    assert archived(tmp_path) == await all_of(log)


async def test_the_buffer_stays_within_its_bound(tmp_path: Path) -> None:
    log = await filled(300, partitions=4, pad=10_000)
    keeper = Archiver(log, tmp_path, flush_bytes=100_000)
    most = 0
    while await keeper.step():
        most = max(most, keeper._buffer.bytes)
    assert most < 250_000
    await keeper.flush()
    assert archived(tmp_path) == await all_of(log)


async def test_killed_after_the_files_and_before_the_commit_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    log = await filled(40)
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    log.fail = {"commit"}
    with pytest.raises(LogError):
        await keeper.flush()
    assert log.positions == {}
    log.fail = set()
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"one more")])
    again = Archiver(log, tmp_path)
    await again.step()
    await again.flush()
    assert archived(tmp_path) == await all_of(log)
    assert log.positions[GROUP, CHAT_EVENTS, 0] == 21


async def test_a_commit_that_failed_is_made_up_for_when_idle(tmp_path: Path) -> None:
    log = await filled(10)
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    log.fail = {"commit"}
    with pytest.raises(LogError):
        await keeper.flush()
    log.fail = set()
    await keeper.step()
    assert log.positions == {(GROUP, CHAT_EVENTS, 0): 5, (GROUP, CHAT_EVENTS, 1): 5}


def left_in(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*")]


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """What a full disk does: a write fails in the midst of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_the_position_stays_and_the_archive_catches_up(tmp_path: Path) -> None:
    log = await filled(60, pad=4000)
    keeper = Archiver(log, tmp_path, flush_records=1)
    with files_of_at_most(20_000):
        with pytest.raises(ArchiveError, match=str(tmp_path)):
            await keeper.step()
        with pytest.raises(ArchiveError, match="cannot be written"):
            await keeper.step()
    assert log.commits == []
    assert not [path for path in left_in(tmp_path) if ".writing" in path]
    while await keeper.step():
        pass
    await keeper.step()
    assert archived(tmp_path) == await all_of(log)


async def test_run_tries_again_after_a_failure_and_flushes_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver, "RETRY_S", (0.0,))
    log = await filled(20)
    keeper = Archiver(log, tmp_path)
    stop, refused = asyncio.Event(), asyncio.Event()
    real = log.read

    async def read(*args: object, **more: object) -> list[LogRecord]:
        if keeper.failures_total < 3:
            refused.set()
            raise LogError("the database is away")
        found = await real(*args, **more)  # type: ignore[arg-type]
        if not found:
            stop.set()
            await asyncio.sleep(0)
        return found

    monkeypatch.setattr(log, "read", read)
    await asyncio.wait_for(keeper.run(stop), 20)
    monkeypatch.setattr(log, "read", real)
    assert refused.is_set()
    assert keeper.failures_total == 3
    assert archived(tmp_path) == await all_of(log)


async def test_another_logs_records_are_not_mixed_in(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(n)) for n in range(30)])
    before = archived(tmp_path)
    with pytest.raises(ArchiveError, match="another log"):
        await Archiver(await filled(10), tmp_path).step()
    with pytest.raises(ArchiveError, match="another log"):
        await Archiver(await filled(100), tmp_path).step()
    assert archived(tmp_path) == before


async def test_a_damaged_newest_file_does_not_stop_the_archiver(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = await filled(10, partitions=1)
    keeper = Archiver(log, tmp_path, flush_records=1)
    await keeper.step()
    victim = max(find_files(tmp_path), key=lambda name: name.last).path
    victim.write_bytes(victim.read_bytes()[:50])
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"more")])
    with caplog.at_level(logging.ERROR):
        again = Archiver(log, tmp_path, flush_records=1)
        await again.step()
    assert str(victim) in caplog.text
    assert again.failures_total == 1
    assert log.positions[GROUP, CHAT_EVENTS, 0] == 11


async def test_what_the_log_deleted_too_early_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = await filled(20)
    log.delete_before(CHAT_EVENTS, 1, 4)
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    await keeper.flush()
    assert keeper.skipped_total == 4
    assert "offsets 0..3 are gone" in caplog.text
    assert len(archived(tmp_path)) == 16


async def test_leftovers_of_a_killed_archiver_are_not_read_and_go_when_old(tmp_path: Path) -> None:
    log = await filled(10)
    left = tmp_path / "a" / "2026-01-01" / ".writing-1-1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    await keeper.flush()
    assert left.exists()
    assert archived(tmp_path) == await all_of(log)
    os.utime(left, (NOON_MS / 1e6, NOON_MS / 1e6))
    await Archiver(log, tmp_path).start()
    assert not left.exists()


async def test_lag_is_what_is_not_yet_durable(tmp_path: Path) -> None:
    log = await filled(20)
    keeper = Archiver(log, tmp_path)
    await keeper.step()
    assert keeper.lag({0: 10, 1: 10}) == 20
    await keeper.flush()
    assert keeper.lag({0: 10, 1: 12}) == 2
