"""Where an export goes: a file takes its name when it is whole, a pipe is written to, private ones are private."""

import os
import stat
import threading
from pathlib import Path

import pytest

from infra.exporting import ExportError, _opened


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "seals.csv"
    out.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), _opened(out, private=False) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("seals.csv", b"before")]
    with _opened(out, private=False) as file:
        file.write(b"after")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("seals.csv", b"after")]


def test_what_names_people_is_private_whatever_lay_there(tmp_path: Path) -> None:
    out = tmp_path / "participants.csv"
    for name in ("participants.csv", "participants.csv.part"):
        (tmp_path / name).touch(0o644)
    with _opened(out, private=True) as file:
        file.write(b"people")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with _opened(pipe, private=False) as file:
        file.write(b"rows")
    reader.join()
    assert read == [b"rows"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_and_a_lost_database_are_told_apart(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match="/dev/full: No space left"),
        _opened(Path("/dev/full"), private=False) as file,
    ):
        file.write(b"rows")
    with pytest.raises(ExportError, match=r"cut short: .*reset"), _opened(tmp_path / "a", private=False):
        raise ConnectionResetError(104, "Connection reset by peer")
    with pytest.raises(ExportError, match="none/a: No such file"), _opened(tmp_path / "none" / "a", private=False):
        raise AssertionError
