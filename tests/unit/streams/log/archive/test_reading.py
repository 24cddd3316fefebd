"""What is written comes back once, in order, filtered as asked; damage is named and the rest goes on."""

import random
from pathlib import Path

import pytest

from streams.log.archive import ArchiveError, read_archive, read_records, write_archive
from streams.log.archive.files import find_files
from tests.archive_records import DAY_MS, NOON_MS, Pair, mixed_log, record


def places(pairs: list[Pair]) -> set[tuple[int, int, bytes]]:
    return {(partition, made.offset, made.value) for partition, made in pairs}


def test_all_records_come_back_whole(tmp_path: Path) -> None:
    log = mixed_log(1)
    stats = write_archive(tmp_path, log)
    assert stats.records == len(log)
    assert stats.unreadable > 0
    assert stats.files == len(find_files(tmp_path)) > 8
    found = list(read_records(tmp_path))
    assert sorted(found) == sorted(log)


def test_each_channel_comes_in_log_order_over_its_days(tmp_path: Path) -> None:
    log = [(0, record(n, "ab"[n % 2], at_ms=NOON_MS + (n * 7 % 5) * DAY_MS)) for n in range(40)]
    write_archive(tmp_path, log)
    found = [offset for _, offset, _ in read_archive(tmp_path)]
    assert found == [*range(0, 40, 2), *range(1, 40, 2)]


def test_a_renamed_channel_is_one_channel_still(tmp_path: Path) -> None:
    log = [(0, record(n, "old" if n % 3 else "new", channel="twitch:id:1")) for n in range(9)]
    write_archive(tmp_path, log)
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new"}
    assert [offset for _, offset, _ in read_archive(tmp_path)] == list(range(9))
    assert [offset for _, offset, _ in read_archive(tmp_path, channel="twitch:id:1")] == list(range(9))
    assert [offset for _, offset, _ in read_archive(tmp_path, channel="new")] == [0, 3, 6]


def test_a_recycled_login_is_two_channels(tmp_path: Path) -> None:
    log = [(0, record(n, "ann", channel=f"twitch:id:{n % 2}")) for n in range(6)]
    write_archive(tmp_path, log)
    assert [offset for _, offset, _ in read_archive(tmp_path, channel="twitch:id:1")] == [1, 3, 5]


def test_order_holds_where_channels_share_a_folder_and_one_has_another_too(tmp_path: Path) -> None:
    log = [
        (0, record(0, "old", channel="twitch:id:2")),
        (0, record(1, "ann", channel="twitch:id:1")),
        (0, record(2, "ann", channel="twitch:id:2")),
    ]
    write_archive(tmp_path, log)
    assert [offset for _, offset, _ in read_archive(tmp_path)] == [0, 1, 2]


def test_records_written_twice_are_read_once(tmp_path: Path) -> None:
    log = [(0, record(n)) for n in range(20)]
    write_archive(tmp_path, log[:12])
    write_archive(tmp_path, log[5:])
    write_archive(tmp_path, log[3:7])
    assert list(read_records(tmp_path)) == log


def test_times_are_half_open_and_take_what_touches_them(tmp_path: Path) -> None:
    log = [(0, record(n, at_ms=NOON_MS + 1000 * n, events=500)) for n in range(4)]  # [1000n, 1000n + 500)
    log.append((0, record(4)._replace(value=b"of a newer version, perhaps")))
    write_archive(tmp_path, log)

    def offsets(from_ms: int | None, to_ms: int | None) -> list[int]:
        from_ms, to_ms = (None if ms is None else NOON_MS + ms for ms in (from_ms, to_ms))
        return [offset for _, offset, _ in read_archive(tmp_path, from_ms=from_ms, to_ms=to_ms)]

    assert offsets(1000, 2000) == [1, 4]
    assert offsets(1499, 1500) == [1, 4]
    assert offsets(1500, 2000) == [4]
    assert offsets(999, 1001) == [1, 4]
    assert offsets(2000, None) == [2, 3, 4]
    assert offsets(None, 1) == [0, 4]


def test_one_file_or_folder_can_be_read(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(n, "ab"[n % 2])) for n in range(4)])
    assert [offset for _, offset, _ in read_archive(tmp_path / "b")] == [1, 3]
    (path,) = (tmp_path / "b").glob("*/*.parquet")
    assert [offset for _, offset, _ in read_archive(path)] == [1, 3]


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="nowhere does not exist"):
        list(read_archive(tmp_path / "nowhere"))


def test_large_files_are_read_group_by_group(tmp_path: Path) -> None:
    log = [(0, record(n, pad=1 << 20)) for n in range(20)]
    write_archive(tmp_path, log)
    assert len(find_files(tmp_path)) == 1
    assert list(read_records(tmp_path)) == log


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1, -4, -9, -500])
def test_a_truncated_file_is_named_and_the_rest_is_read(tmp_path: Path, keep: int) -> None:
    log = [(0, record(n, "ab"[n % 2], at_ms=NOON_MS + n // 10 * DAY_MS)) for n in range(40)]
    write_archive(tmp_path, log)
    victim = find_files(tmp_path / "a")[1].path
    lost = {offset for _, offset, _ in read_archive(victim)}
    victim.write_bytes(victim.read_bytes()[:keep])
    errors: list[ArchiveError] = []
    found = list(read_records(tmp_path, on_error=errors.append))
    assert [str(victim) in str(error) for error in errors] == [True]
    assert sorted(found) == [pair for pair in log if pair[1].offset not in lost]
    with pytest.raises(ArchiveError, match="1 faults in archive"):
        list(read_archive(tmp_path))


def test_no_flipped_byte_changes_a_record_unseen(tmp_path: Path, seed: int) -> None:
    log = [(0, record(n)) for n in range(30)]
    write_archive(tmp_path, log)
    (name,) = find_files(tmp_path)
    whole = name.path.read_bytes()
    rng = random.Random(seed)
    seen = 0
    for _ in range(400):
        at = rng.randrange(len(whole))
        name.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        errors: list[ArchiveError] = []
        found = list(read_records(tmp_path, on_error=errors.append))
        seen += bool(errors)
        assert errors or found == log, f"byte {at}"
        assert places(found) <= places(log), f"byte {at}"
    assert seen > 100  # about half of the bytes matter


def test_a_footer_that_was_changed_hides_no_file(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(0))])
    (name,) = find_files(tmp_path)
    whole = name.path.read_bytes()
    changed = whole.replace(b'"channels":["twitch:login:ann"]', b'"channels":["twitch:login:bob"]')
    assert changed != whole
    name.path.write_bytes(changed)
    with pytest.raises(ArchiveError, match="does not fit its hash"):
        list(read_archive(tmp_path, channel="twitch:login:ann"))


def test_two_logs_in_one_archive_are_told(tmp_path: Path) -> None:
    write_archive(tmp_path, [(0, record(n)) for n in range(5)])
    write_archive(tmp_path, [(0, record(n, events=4)) for n in range(4, 9)])
    with pytest.raises(ArchiveError, match="another record at partition 0, offset 4"):
        list(read_archive(tmp_path))


def test_records_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="do not rise"):
        write_archive(tmp_path, [(0, record(2)), (0, record(1))])
    assert find_files(tmp_path) == []
