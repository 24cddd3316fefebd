"""A disk that refuses: the spool counts it and goes on, what it cannot vouch for is refused, and nothing ends."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.collect.live.counters import OutboundCounters
from streams.collect.live.outbound import LogOutbound
from streams.collect.live.spool import READ_TRIES, Spool, SpoolError
from streams.collect.live.spool_records import Spooled
from tests.unit.streams.collect.live.test_outbound import FaultyLog, expected, put, running

SEGMENT_BYTES = 100


def spool(folder: Path) -> Spool:
    made = Spool(folder, OutboundCounters(), segment_bytes=SEGMENT_BYTES)
    made.open()
    return made


def record(number: int) -> Spooled:
    return Spooled(0, b"key%d" % number, b"%d" % number * 10)


def drain(one: Spool) -> list[Spooled]:
    found = []
    while (batch := one.read(7, 1 << 20))[0]:
        found += batch[0]
        one.acknowledge(batch[1])
    return found


@contextmanager
def sick(owner: Any, name: str, only: Callable[..., bool] = lambda *_: True) -> Iterator[None]:
    """Calls of that function fail as a broken disk makes them fail."""
    real = getattr(owner, name)

    def fails(*given: Any, **named: Any) -> Any:
        if only(*given):
            raise OSError(errno.EIO, "Input/output error")
        return real(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fails)
        yield


def reads(_: Path, mode: str = "r", *__: object) -> bool:
    return mode == "rb"


def test_behind_a_segment_that_may_not_be_on_the_disk_no_other_is_begun(tmp_path: Path) -> None:
    """A power cut could take its end and leave what comes behind: claims without their events."""
    one = spool(tmp_path)
    taken = []
    with sick(os, "fsync"):
        for number in range(9):
            if one.append([record(number)]):
                taken.append(record(number))
            one.sync()
    assert one._counters.spool_errors > 0
    assert len(list(tmp_path.glob("*.spool"))) == 1
    assert 0 < len(taken) < 9
    one.sync()
    assert one.append([record(7)]) == 0, "that a later sync succeeds says nothing of what an earlier one lost"
    assert drain(one) == taken
    assert one.append([record(8)]) == 1, "all of it is on the log"
    one.sync()
    assert not one.unsynced
    assert drain(one) == [record(8)]


def test_what_cannot_be_noted_or_deleted_is_sent_again_at_the_next_start(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.append([record(number) for number in range(3)])
    with sick(os, "pwrite"), sick(Path, "unlink"):
        assert drain(one) == [record(number) for number in range(3)]
    assert one._counters.spool_errors == 2
    assert one.empty and one._counters.spool_bytes == 0
    one.close()
    assert drain(spool(tmp_path)) == [record(number) for number in range(3)]


def test_a_segment_that_cannot_be_read_is_tried_again_and_passed_over_in_the_end(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.append([record(number) for number in range(5)])
    one.sync()
    one.append([record(5)])
    with sick(Path, "open", reads), pytest.raises(SpoolError, match=r"spool .*Input/output error; .* tried again"):
        one.read(1, 1 << 20)
    first, position = one.read(1, 1 << 20)
    assert first == [record(0)], "the disk was well again"
    one.acknowledge(position)
    size = one._sizes[1]
    with sick(Path, "open", lambda path, mode="r", *_: mode == "rb" and path.stem.endswith("1")):
        for _ in range(READ_TRIES - 1):
            with pytest.raises(SpoolError):
                one.read(1, 1 << 20)
        assert drain(one) == [record(5)]
    assert one._counters.damaged_bytes == size * 4 // 5
    assert one._counters.spool_errors == READ_TRIES + 1
    assert one.empty


def test_records_before_a_bad_block_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = spool(tmp_path)
    one.append([record(number) for number in range(4)])
    bad_from = one._sizes[1] // 2
    real_open = Path.open

    class Bad:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Bad":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def seek(self, at: int) -> None:
            self.file.seek(at)

        def read(self, size: int) -> bytes:
            if self.file.tell() + size > bad_from:
                raise OSError(errno.EIO, "Input/output error")
            return bytes(self.file.read(size))

    monkeypatch.setattr(Path, "open", lambda path, *given, **named: Bad(real_open(path, *given, **named)))
    assert [one.read(9, 1 << 20)[0] for _ in range(2)] == [[record(0)], [record(1)]]
    with pytest.raises(SpoolError):
        one.read(9, 1 << 20)


def test_what_was_half_written_and_cannot_be_cut_off_ends_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spool(tmp_path)
    one.append([record(0)])
    one.sync()
    with (tmp_path / "0000000000000001.spool").open("ab") as file, sick(os, "truncate"):
        real = Path.open

        def half(path: Path, mode: str, **named: Any) -> Any:
            file.write(b"half")
            file.flush()
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(Path, "open", half)
        assert one.append([record(1)]) == 0
        monkeypatch.setattr(Path, "open", real)
    assert one.append([record(2)]) == 1
    assert drain(one) == [record(0), record(2)]
    assert one._counters.damaged_bytes == 0


def test_a_start_that_finds_what_another_left_puts_it_on_the_disk_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spool(tmp_path)
    one.append([record(0)])
    assert one._lock is not None
    os.close(one._lock)  # killed before its sync
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}").rpartition("/")[2])
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    again = spool(tmp_path)
    assert again.append([record(1)]) == 1
    assert synced[0] == "0000000000000001.spool", "what is written next goes behind it"
    assert drain(again) == [record(0), record(1)]


async def test_a_collector_goes_on_with_a_disk_that_refuses_to_sync(tmp_path: Path) -> None:
    log = FaultyLog()
    outbound = outbound_on(log, tmp_path)
    log.away = True
    taken = 0
    async with running(outbound):
        with sick(os, "fsync"), sick(os, "pwrite"):
            async with asyncio.timeout(30):
                while put(outbound, taken):
                    taken += 1
                    await asyncio.sleep(0)
                log.away = False
                await outbound.flushed()
                assert put(outbound, taken)
                await outbound.flushed()
    assert log.first_times() == expected(range(taken + 1))
    assert outbound.counters.refused_records == 1, "of that the intake makes a hole"
    assert outbound.counters.spool_errors > 1


async def test_a_collector_goes_on_when_its_spool_cannot_be_read_back(tmp_path: Path) -> None:
    log = FaultyLog()
    outbound = outbound_on(log, tmp_path)
    log.away = True
    async with running(outbound):
        with sick(Path, "open", reads):
            async with asyncio.timeout(30):
                assert put(outbound, 0)
                while not outbound.counters.spooled_records:  # noqa: ASYNC110 - it does not tell
                    await asyncio.sleep(0.01)
                log.away = False
                await outbound.flushed()
                assert put(outbound, 1)
                await outbound.flushed()
    assert log.first_times() == expected([1])
    assert outbound.counters.damaged_bytes > 0
    assert outbound.counters.spool_errors == READ_TRIES


def outbound_on(log: FaultyLog, folder: Path) -> LogOutbound:
    counters = OutboundCounters()
    made = Spool(folder, counters, segment_bytes=1_000)
    made.open()
    return LogOutbound(log, made, counters, answer_s=0.2, retry_s=0.02, max_queued_bytes=10_000)
