"""Many small files of a day become one, the same one however the records were split."""

from pathlib import Path

import pytest

from streams.log.archive import ArchiveError, compact, read_records, write_archive
from streams.log.archive.files import find_files
from tests.archive_records import NOON_DAY, NOON_MS, mixed_log, record


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


def test_one_file_per_channel_and_partition_remains_and_holds_the_same(tmp_path: Path) -> None:
    log = [(n % 2, record(n, "abc"[n % 3])) for n in range(60)]
    write_archive(tmp_path, log, flush_bytes=6000)
    before = len(find_files(tmp_path))
    assert before > 6
    assert compact(tmp_path, NOON_DAY) == before - 6
    assert len(find_files(tmp_path)) == 6
    assert sorted(read_records(tmp_path)) == sorted(log)
    assert compact(tmp_path, NOON_DAY) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_bytes_do_not_depend_on_the_split(tmp_path: Path, seed: int) -> None:
    log = mixed_log(seed)
    made = []
    for name, flush_bytes in (("whole", 1 << 30), ("small", 4000), ("tiny", 1)):
        write_archive(tmp_path / name, log, flush_bytes=flush_bytes)
        write_archive(tmp_path / name, log[10:20], flush_bytes=2000)
        for day in {path.name for path in (tmp_path / name).glob("*/*")}:
            compact(tmp_path / name, day)
        made.append(contents(tmp_path / name))
    assert made[0] == made[1] == made[2]


def test_other_days_are_left_alone(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(n)) for n in range(9)], flush_bytes=1)
    before = contents(tmp_path)
    assert compact(tmp_path, "2020-01-01") == 0
    assert contents(tmp_path) == before
    with pytest.raises(ArchiveError, match="not of the form"):
        compact(tmp_path, "../..")


def test_a_damaged_file_stops_its_folder_only(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(n, "ab"[n % 2])) for n in range(20)], flush_bytes=1)
    victim = find_files(tmp_path / "a")[3].path
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(ArchiveError, match=str(victim)):
        compact(tmp_path, NOON_DAY)
    assert len(find_files(tmp_path / "a")) == 10
    assert len(find_files(tmp_path / "b")) == 1


def test_killed_before_the_old_files_went_nothing_is_doubled(tmp_path: Path) -> None:
    log = [(0, record(n, at_ms=NOON_MS + n)) for n in range(20)]
    write_archive(tmp_path, log, flush_bytes=3000)
    old = contents(tmp_path)
    compact(tmp_path, NOON_DAY)
    for name, data in list(old.items())[::2]:
        (tmp_path / name).write_bytes(data)
    assert list(read_records(tmp_path)) == log
    compact(tmp_path, NOON_DAY)
    assert len(find_files(tmp_path)) == 1
    assert list(read_records(tmp_path)) == log
