"""Day files end where the database says, never in a torn line; past days are compressed, old ones go."""

import os
from pathlib import Path

import pytest
import zstandard

from projections import day_files
from projections.day_files import DayFiles, day_of
from projections.errors import ProjectionError

NOW_MS = 1_767_225_600_000  # 2026-01-01


class Stored:
    """The database's side: sizes as committed, and as a transaction under way has them."""

    def __init__(self) -> None:
        self.committed: dict[str, int] = {}
        self.pending: dict[str, int] = {}

    async def fetch(self, statement: str, name: str) -> list[dict[str, object]]:
        return [{"file": file, "size_bytes": size} for file, size in self.committed.items()]

    async def execute(self, statement: str, name: str, file: str, size: int | None = None) -> None:
        if size is None:
            self.committed.pop(file, None)
            self.pending.pop(file, None)
        else:
            self.pending[file] = size

    def commit(self) -> None:
        self.committed |= self.pending


@pytest.fixture
def stored() -> Stored:
    return Stored()


def opened(folder: Path) -> DayFiles:
    files = DayFiles(folder, "events")
    files.open()
    return files


async def test_what_was_not_committed_is_cut_off_before_the_next_write(tmp_path: Path, stored: Stored) -> None:
    files = opened(tmp_path)
    await files.write(stored, {"2026-01-01": b"one\n"})
    stored.commit()
    await files.write(stored, {"2026-01-01": b"lost\n"})
    files.forget()  # rolled back
    await files.write(stored, {"2026-01-01": b"two\n"})
    stored.commit()
    files.close()
    # Killed in the middle of a line.
    (tmp_path / "2026-01-01.ndjson").write_bytes(b"one\ntwo\nthr")
    files = opened(tmp_path)
    await files.write(stored, {"2026-01-01": b"three\n"})
    assert (tmp_path / "2026-01-01.ndjson").read_bytes() == b"one\ntwo\nthree\n"
    assert files.counters.cut_bytes_total == 3
    assert stored.pending == {"2026-01-01.ndjson": 14}


async def test_with_a_new_database_whole_lines_stay_and_a_torn_one_goes(tmp_path: Path, stored: Stored) -> None:
    (tmp_path / "2026-01-01.ndjson").write_bytes(b"x" * 70_000 + b"\nkept\n" + b"t" * 70_000)
    (tmp_path / "2026-01-02.ndjson").write_bytes(b"torn")
    files = opened(tmp_path)
    await files.write(stored, {"2026-01-01": b"new\n", "2026-01-02": b"new\n"})
    assert (tmp_path / "2026-01-01.ndjson").read_bytes() == b"x" * 70_000 + b"\nkept\nnew\n"
    assert (tmp_path / "2026-01-02.ndjson").read_bytes() == b"new\n"


async def test_files_name_people_so_nobody_else_may_read_them(tmp_path: Path, stored: Stored) -> None:
    files = opened(tmp_path / "raw")
    await files.write(stored, {"2026-01-01": b"one\n"})
    assert (tmp_path / "raw").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "raw" / "2026-01-01.ndjson").stat().st_mode & 0o777 == 0o600


async def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(ProjectionError, match="does another"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


async def test_past_days_are_compressed_once_quiet_and_written_on_in_a_new_part(
    tmp_path: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = opened(tmp_path)
    await files.write(stored, {"2025-12-31": b"a\n", "2026-01-01": b"b\n"})
    stored.commit()
    await files.tidy(stored, NOW_MS, 30)
    assert names(tmp_path) == ["2025-12-31.ndjson", "2026-01-01.ndjson"], "written to a moment ago"
    monkeypatch.setattr(day_files, "QUIET_S", -1.0)
    await files.tidy(stored, NOW_MS, 30)
    assert names(tmp_path) == ["2025-12-31.0.ndjson.zst", "2026-01-01.ndjson"]
    await files.write(stored, {"2025-12-31": b"late\n"})
    stored.commit()
    await files.tidy(stored, NOW_MS, 30)
    assert names(tmp_path) == ["2025-12-31.0.ndjson.zst", "2025-12-31.1.ndjson.zst", "2026-01-01.ndjson"]
    assert [unpacked(tmp_path / f"2025-12-31.{part}.ndjson.zst") for part in (0, 1)] == [b"a\n", b"late\n"]
    assert stored.committed == {"2026-01-01.ndjson": 2}
    assert (tmp_path / "2025-12-31.0.ndjson.zst").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("finished", [False, True])
async def test_a_crash_while_compressing_is_made_up_for(tmp_path: Path, stored: Stored, finished: bool) -> None:
    (tmp_path / "2025-12-31.0.ndjson.closing").write_bytes(b"a\n")
    (tmp_path / "2025-12-31.0.ndjson.partial").write_bytes(b"half")
    if finished:
        (tmp_path / "2025-12-31.0.ndjson.zst").write_bytes(zstandard.compress(b"a\n"))
    files = opened(tmp_path)
    await files.tidy(stored, NOW_MS, 30)
    assert unpacked(tmp_path / "2025-12-31.0.ndjson.zst") == b"a\n"
    assert not (tmp_path / "2025-12-31.0.ndjson.closing").exists()


async def test_days_beyond_the_retention_go_and_nothing_else(tmp_path: Path, stored: Stored) -> None:
    kept = ["2025-12-02.ndjson", "2026-01-01.ndjson", "notes.txt", "2025-01-01.csv"]
    gone = [
        "2025-12-01.ndjson",
        "2025-12-01.0.ndjson.zst",
        "2025-11-01.3.ndjson.closing",
        "2025-01-01.0.ndjson.partial",
    ]
    for name in kept + gone:
        (tmp_path / name).write_bytes(b"x\n")
    os.utime(tmp_path / "2025-12-02.ndjson")
    files = opened(tmp_path)
    await files.tidy(stored, NOW_MS, 30)
    assert names(tmp_path) == sorted(kept)
    assert files.counters.deleted_total == 4


def test_days_are_those_of_utc() -> None:
    assert [day_of(NOW_MS - 1), day_of(NOW_MS)] == ["2025-12-31", "2026-01-01"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def unpacked(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
