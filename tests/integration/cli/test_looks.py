"""What commands print is whole: into a pipe, on a narrow terminal, on one without colours or without our letters."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from infra import settings
from tests.integration.cli.conftest import Twzrd


def on_a_terminal(home: Path, columns: int, *arguments: str, **environment: str) -> str:
    """What the command writes on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "infra.cli", "--home", str(home), *arguments]
    given = {name: value for name, value in os.environ.items() if not name.startswith(("TWZRD_", "COLUMNS", "LINES"))}
    process = subprocess.Popen(command, env=given | environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while piece := os.read(ours, 65536):
            said += piece
    os.close(ours)
    assert process.wait(60) == 0, said
    return said.decode()


def test_a_narrow_terminal_cuts_nothing_off(tmp_path: Path) -> None:
    said = re.sub(r"\x1b\[\d+m", "", on_a_terminal(tmp_path, 60, "settings", TERM="xterm"))
    assert all(variable in said for variable, _, _ in settings.variables())
    assert max(map(len, said.splitlines())) <= 60


def test_a_row_is_one_line_in_a_pipe(twzrd: Twzrd) -> None:
    rows = twzrd("keys", "init").out.splitlines()
    states = [json.loads(line) for line in twzrd("keys", "show", "--json").out.splitlines()]
    assert len(rows) == 1 + len(states)
    assert all(
        state["path"] in row and state["fingerprint"] in row for row, state in zip(rows[1:], states, strict=True)
    )


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "xterm"}])
def test_colours_are_left_out_where_they_are_not_wanted(tmp_path: Path, environment: dict[str, str]) -> None:
    chat, pepper = tmp_path / "chat.irc", tmp_path / "pepper"
    on_a_terminal(tmp_path / "home", 80, "simulate", "--seconds", "60", "--out", str(chat))
    pepper.write_text("11" * 32)
    pepper.chmod(0o644)
    arguments = ["replay", str(chat), "--out", str(tmp_path / "out"), "--pepper-file", str(pepper)]
    said = on_a_terminal(tmp_path / "home", 80, *arguments, **environment)
    assert "can be read by others" in said
    assert ("\x1b[33m" in said) is (environment == {"TERM": "xterm"})


def test_letters_that_the_terminal_lacks_end_no_command(twzrd: Twzrd) -> None:
    assert "client_id=\\u2026" in twzrd("settings", PYTHONIOENCODING="latin-1").out


@pytest.mark.postgres
def test_log_cat_prints_as_many_records_as_it_is_asked_for(twzrd: Twzrd) -> None:
    twzrd("simulate", "--into-log", "--channels", "1", "--rate", "150", "--seconds", "1800", TWZRD_PARTITIONS="1")
    [span] = [
        row
        for row in map(json.loads, twzrd("log", "spans", "--json", TWZRD_PARTITIONS="1").out.splitlines())
        if row["stream"] == "chat.events"
    ]
    offsets = [
        json.loads(line)["offset"]
        for line in twzrd("log", "cat", "--limit", "1000000", TWZRD_PARTITIONS="1").out.splitlines()
    ]
    assert offsets == list(range(span["first"], span["next"]))
    assert len(offsets) > 1000
    cut = twzrd("log", "cat", "--limit", "1100", "--start", "3", TWZRD_PARTITIONS="1").out.splitlines()
    assert [json.loads(line)["offset"] for line in cut] == offsets[3:1103]
