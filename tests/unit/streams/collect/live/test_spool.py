"""The spool: in order, checked, bounded; a torn end is cut; what is acknowledged does not come back."""

import errno
import os
import random
from pathlib import Path

import pytest

from streams.collect.live.counters import OutboundCounters
from streams.collect.live.spool import Spool, SpoolError
from streams.collect.live.spool_records import Spooled


def spool(folder: Path, **given: int) -> Spool:
    made = Spool(folder, OutboundCounters(), **given)
    made.open()
    return made


def record(number: int, size: int = 10) -> Spooled:
    return Spooled(number % 2, b"key%d" % number, b"%d" % number * size)


def drain(one: Spool, at_once: int = 7) -> list[Spooled]:
    found = []
    while batch := one.read(at_once, 1 << 20)[0]:
        found += batch
    return found


def test_records_come_back_in_order_over_segments_and_restarts(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    given = [record(number, chance.randrange(1, 300)) for number in range(500)]
    taken: list[Spooled] = []
    one = spool(tmp_path, segment_bytes=5_000)
    written = 0
    while len(taken) < len(given):
        step = chance.randrange(4)
        if step < 2 and written < len(given):
            size = chance.randrange(1, 40)
            written += one.append(given[written : written + size])
        elif step == 2:
            batch, position = one.read(chance.randrange(1, 30), chance.choice((1, 2_000, 1 << 20)))
            if chance.random() < 0.3:
                one.rewind()  # the log did not take them
            else:
                one.acknowledge(position)
                taken += batch
        elif chance.random() < 0.3:
            one.close()
            one = spool(tmp_path, segment_bytes=5_000)
    assert taken == given
    assert one.empty
    assert list(tmp_path.glob("*.spool")) == []


def test_what_was_not_acknowledged_comes_again_after_a_kill(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.append([record(number) for number in range(10)])
    _, position = one.read(4, 1 << 20)
    one.acknowledge(position)
    one.read(3, 1 << 20)
    _let_go(one)
    assert drain(spool(tmp_path)) == [record(number) for number in range(4, 10)]


def _let_go(one: Spool) -> None:
    """What the kernel does when the process is killed."""
    assert one._lock is not None
    os.close(one._lock)


def test_a_torn_end_is_cut_off_at_any_byte_and_counted(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.append([record(number) for number in range(3)])
    one.close()
    (path,) = tmp_path.glob("*.spool")
    whole = path.read_bytes()
    size = len(whole) // 3
    for cut in range(1, size):
        path.write_bytes(whole[:-cut])
        again = spool(tmp_path)
        assert drain(again) == [record(0), record(1)]
        assert (again._counters.torn_tails, again._counters.torn_bytes) == (1, size - cut)
        again.append([record(7)])
        again.close()
        (_, new) = sorted(tmp_path.glob("*.spool"))
        assert path.stat().st_size == 2 * size
        new.unlink()


def test_a_damaged_record_is_never_given_out_and_is_counted(tmp_path: Path) -> None:
    one = spool(tmp_path, segment_bytes=70)
    one.append([record(number) for number in range(3)])
    one.sync()
    one.append([record(number) for number in range(3, 6)])
    first = sorted(tmp_path.glob("*.spool"))[0]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    assert drain(one) == [record(0), *(record(number) for number in range(3, 6))]
    assert one._counters.damaged_bytes == len(data) * 2 // 3


def test_the_bound_turns_records_down_and_room_comes_back_with_acknowledgement(tmp_path: Path) -> None:
    one = spool(tmp_path, max_bytes=2_000, segment_bytes=500)
    taken = one.append([record(number) for number in range(1_000)])
    assert 0 < taken < 1_000
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) <= 2_000
    assert one._counters.spool_full == 1
    assert one.append([record(1)]) == 0
    _, position = one.read(taken // 2 + 1, 1 << 20)
    while position.byte == 0 or not one._counters.spool_bytes < 1_500:
        one.acknowledge(position)
        _, position = one.read(10, 1 << 20)
    assert one.append([record(1)]) == 1


def test_a_full_disk_takes_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = spool(tmp_path)
    one.append([record(0)])
    real_open = Path.open

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def write(self, data: bytes) -> int:
            self.file.write(data[:5])  # type: ignore[attr-defined]
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, **k: Full(real_open(path, mode, **k)))
        assert one.append([record(1)]) == 0
    assert one._counters.spool_errors == 1
    assert one.append([record(2)]) == 1
    assert drain(one) == [record(0), record(2)]


def test_two_processes_cannot_share_a_spool(tmp_path: Path) -> None:
    one = spool(tmp_path)
    with pytest.raises(SpoolError, match="in use by another process; end that one"):
        spool(tmp_path)
    one.close()
    spool(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file/spool cannot be used"):
        spool(tmp_path / "file" / "spool")


def segments(folder: Path) -> list[int]:
    """Their sizes, oldest first."""
    return [path.stat().st_size for path in sorted(folder.glob("*.spool"))]


def test_a_segment_is_on_the_disk_before_the_next_and_append_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spool(tmp_path, segment_bytes=100)
    real, synced = os.fsync, list[list[int]]()

    def fsync(handle: int) -> None:
        if not synced:
            one.append([record(9)])  # while the first sync is under way in its thread
        synced.append(segments(tmp_path))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    one.append([record(number) for number in range(4)])
    size = segments(tmp_path)[0]
    assert size >= 100
    assert not synced and one.unsynced
    one.sync()
    assert one.unsynced, "what was appended meanwhile is not vouched for"
    one.append([record(8)])
    assert segments(tmp_path) == [size // 4 * 6], "full, and not on the disk: it goes on"
    one.sync()
    before = len(synced)
    one.append([record(7)])
    assert len(synced) == before, "append found it on the disk"
    assert segments(tmp_path) == [size // 4 * 6, size // 4]
    assert drain(one) == [record(number) for number in (0, 1, 2, 3, 9, 8, 7)]


def test_at_twice_its_size_a_segment_is_synced_by_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = spool(tmp_path, segment_bytes=100)
    real, synced = os.fsync, list[list[int]]()

    def fsync(handle: int) -> None:
        synced.append(segments(tmp_path))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for number in range(9):
        one.append([record(number % 10)])
    assert synced and set(map(tuple, synced)) == {(200,)}, "before the next one was begun"
    assert segments(tmp_path)[0] == 200
