"""A file read in ranges gives what it gives read whole."""

import gzip
from pathlib import Path

import pytest

from schemas.columns import EventColumns
from streams.collect.chunk import Chunk
from streams.collect.derived_ids import DerivedIds, split_pending
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.source import open_source
from streams.collect.files.split import ByteRange, read_range, split_source

Row = tuple[str, int, bytes, int, tuple[str, str], int]


def rows(chunk: Chunk) -> list[Row]:
    def of(channel: str, e: EventColumns) -> list[Row]:
        return [
            (channel, int(e.at[i]), e.ids[i].tobytes(), int(e.kind[i]), e.viewers[e.who[i]], int(e.amount[i]))
            for i in range(len(e))
        ]

    return [row for channel, (_, events) in chunk.channels.items() for row in of(channel, events)]


@pytest.mark.parametrize("jobs", [2, 3, 7, 100])
def test_ranges_give_the_events_ids_and_dead_lines_of_the_whole(shared_dir: Path, tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "kinds.irc"
    data = (shared_dir / "vectors/seals/kinds_400.irc").read_bytes()
    path.write_bytes(data + b"junk\n" + b"x" * 100_000 + b"\n" + data + b"more junk\n" + data)
    parts = split_source(path, jobs, min_range_bytes=1_000)
    assert parts is not None
    assert parts[0].start == 0
    assert parts[-1].end == path.stat().st_size
    assert [a.end for a in parts[:-1]] == [b.start for b in parts[1:]]
    found, dead, lines_before, derived = [], [], 0, DerivedIds()
    for part in parts:
        lines = 0
        for chunk in read_range(part):
            settled, waiting = split_pending(chunk.renumbered(lines_before))
            derived.settle(waiting)
            found += rows(settled) + rows(waiting)
            dead += settled.dead
            lines += chunk.lines
        lines_before += lines
    whole = list(open_source(path))
    assert sorted(found) == sorted(row for chunk in whole for row in rows(chunk))
    assert dead == [letter for chunk in whole for letter in chunk.dead]
    assert [d.line_number for d in dead] == [409, 410, 819]
    assert lines_before == sum(chunk.lines for chunk in whole) == 3 * 408 + 3


def test_inputs_that_must_be_read_whole_are_not_split(shared_dir: Path, tmp_path: Path) -> None:
    data = (shared_dir / "vectors/seals/kinds_400.irc").read_bytes()
    (tmp_path / "packed").write_bytes(gzip.compress(data))
    (tmp_path / "stamped").write_bytes("2019-05-16_08:47:10 — :a!a@a JOIN #c\n".encode() * 1_000)
    (tmp_path / "small").write_bytes(data)
    assert split_source("-", 2) is None
    assert split_source(tmp_path / "packed", 2, min_range_bytes=10) is None
    assert split_source(tmp_path / "stamped", 2, min_range_bytes=10) is None
    assert split_source(tmp_path / "small", 2) is None
    assert split_source(tmp_path / "small", 1, min_range_bytes=10) is None
    assert split_source(tmp_path / "small", 2, min_range_bytes=10) is not None


def test_a_range_of_a_missing_file_or_of_lines_that_lean_on_others_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone: reading broke"):
        list(read_range(ByteRange(str(tmp_path / "gone"), 0, 5, "irc")))
    with pytest.raises(SourceError, match="cannot be read in ranges"):
        list(read_range(ByteRange("x", 0, 5, "stamped"), ReadOptions()))
