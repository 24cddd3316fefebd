"""A pipe and standard input are read once, from their first byte, whatever the format and the number of processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.collect.files.formats import ReadOptions
from streams.replay.folding import FoldOptions
from streams.replay.reading import chunks_of, make_pool
from streams.replay.run import Replayed, replay

LINES = 3_000
AT_MS = 1_767_225_600_000


def ndjson(number: int) -> str:
    return json.dumps({"channel": "chan", "at_ms": AT_MS + number, "kind": 0, "login": f"viewer_{number % 50}"})


def irc(number: int) -> str:
    tags = f"@id=odd-{number};room-id=1;user-id={number % 50 + 1};tmi-sent-ts={AT_MS + number}"
    return f"{tags} :viewer!viewer@viewer PRIVMSG #chan :some words"


def tsv(number: int) -> str:
    return f"2026-01-01 00:{number // 60:02}:{number % 60:02},000\tviewer_{number % 50}\tsome words"


def stamped(number: int) -> str:
    name = f"viewer_{number % 50}"
    stamp = f"2026-01-01_00:{number // 60:02}:{number % 60:02} — "
    return f"{stamp}:{name}!{name}@{name}.tmi.twitch.tv PRIVMSG #chan :some words"


FORMS = {"ndjson": ndjson, "irc": irc, "tsv": tsv, "stamped": stamped}


@pytest.fixture(params=FORMS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("".join(FORMS[request.param](number) + "\n" for number in range(LINES)))
    return path


@contextmanager
def fed(path: Path, file: Path) -> Iterator[str]:
    """A named pipe with another process that writes the file into it once and then leaves."""
    os.mkfifo(path)
    writer = subprocess.Popen(["sh", "-c", 'exec cat "$0" > "$1"', str(file), str(path)])
    try:
        yield str(path)
        assert writer.wait(10) == 0
    finally:
        writer.kill()
        writer.wait()


def folded(source: Path | str, out: Path, jobs: int) -> Replayed:
    read = ReadOptions(channel="chan")
    return replay([str(source)], out, FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, read, jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_pipe_gives_what_a_file_gives(file: Path, jobs: int, tmp_path: Path) -> None:
    with fed(tmp_path / "pipe", file) as pipe:
        found = folded(pipe, tmp_path / "out", jobs)
    assert found == folded(file, tmp_path / "again", 1)
    assert (found.tally.lines, found.tally.events, found.tally.malformed) == (LINES, LINES, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_standard_input_gives_what_a_file_gives(
    file: Path, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = folded("-", tmp_path / "out", jobs)
    assert found == folded(file, tmp_path / "again", 1)
    assert (found.tally.lines, found.tally.events, found.tally.malformed) == (LINES, LINES, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_load_reads_a_pipe_from_its_first_byte(file: Path, jobs: int, tmp_path: Path) -> None:
    pool = make_pool(jobs)
    try:
        with fed(tmp_path / "pipe", file) as pipe:
            chunks = list(chunks_of(pipe, ReadOptions(channel="chan"), pool, jobs))
    finally:
        if pool is not None:
            pool.shutdown()
    assert sum(chunk.lines for chunk in chunks) == sum(chunk.counts["events"] for chunk in chunks) == LINES
