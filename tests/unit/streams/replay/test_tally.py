"""The counts of a replay add up, whichever way its events came and whatever became of them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.collect.cutting import Cutter
from streams.collect.files.formats import ReadOptions
from streams.log.archive import write_archive
from streams.log.port import LogRecord
from streams.replay.folding import Folding, FoldOptions
from streams.replay.reading import chunks_of
from streams.replay.run import Replayed, replay
from streams.replay.tally import Tally

AT_MS = 1_767_225_600_000
HOUR_MS = 3_600_000


def replayed(source: Path, out: Path, jobs: int = 1) -> Replayed:
    return replay([str(source)], out, FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, jobs=jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_left_out_of_an_hour_without_participants_is_counted(tmp_path: Path, jobs: int) -> None:
    log = tmp_path / "chat.irc"
    said = [(hour, who) for hour in range(3) for who in ("nightbot", "moobot", "nightbot")] + [(1, "ann")]
    log.write_text(
        "".join(
            f"@id={hour}-{at};room-id=1;user-id=5;tmi-sent-ts={AT_MS + hour * HOUR_MS + at} :{who}!a@a PRIVMSG #c :hi\n"
            for at, (hour, who) in enumerate(said)
        )
    )
    tally = replayed(log, tmp_path / "out", jobs).tally
    assert (tally.events, tally.excluded, tally.seals) == (10, 9, 1)


def archived(source: Path, root: Path) -> Path:
    """The source as `load` would put it onto a log of one partition, and the archiver onto disk."""
    cutter = Cutter("file:test")
    ready = [
        one
        for chunk in chunks_of(str(source), ReadOptions(), None, 1)
        for channel, (login, events) in chunk.channels.items()
        for one in cutter.add(channel, login, events)
    ]
    ready += [*cutter.rest(), *cutter.ends()]
    write_archive(root, ((0, LogRecord(at, one.key, one.value, AT_MS)) for at, one in enumerate(ready)))
    return root


def test_events_of_an_archive_are_counted_as_those_of_the_lines_it_came_from(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "vectors/seals/kinds_400.irc"
    lines = replayed(source, tmp_path / "lines")
    archive = replayed(archived(source, tmp_path / "archive"), tmp_path / "again")
    assert archive.digest == lines.digest
    assert counts(archive.tally) == counts(lines.tally)
    assert lines.tally.events == 391


def counts(tally: Tally) -> tuple[int, ...]:
    return tally.events, tally.duplicates, tally.conflicts, tally.excluded, tally.late, tally.seals


def test_lines_are_events_dead_or_passed_over_by_name(shared_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.irc"
    junk = [b"junk\n", b"\n", b"x" * 70_000 + b"\n", b":a!a@a JOIN #c\n", b"\r\n", b"@tmi-sent-ts=5 PRIVMSG #c :x\n"]
    log.write_bytes((shared_dir / "vectors/seals/kinds_400.irc").read_bytes() + b"".join(junk) + b"no end")
    for jobs in (1, 2):
        tally = replayed(log, tmp_path / str(jobs), jobs).tally
        assert tally.malformed == 4
        assert tally.lines == 415 == tally.events + tally.malformed + tally.other.total()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress])
def test_progress_is_told_in_bytes_and_lines_of_the_input_as_it_lies_on_disk(
    shared_dir: Path, tmp_path: Path, jobs: int, packed: Callable[[bytes], bytes]
) -> None:
    data = (shared_dir / "vectors/seals/kinds_400.irc").read_bytes() * 60
    sources = [tmp_path / "one", tmp_path / "two"]
    for source in sources:
        source.write_bytes(packed(data))
    told: dict[str, list[tuple[int, int]]] = {}
    options = FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, jobs=jobs)
    folding = Folding(options, lambda letter: None, lambda name, *said: told.setdefault(name, []).append(said))
    folding.take(list(map(str, sources)))
    for source in sources:
        assert told[str(source)] == sorted(told[str(source)])
        assert told[str(source)][-1] == (source.stat().st_size, 408 * 60)
