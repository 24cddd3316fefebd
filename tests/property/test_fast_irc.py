"""The fast reading of tagged lines equals the plain one, on ordinary, unusual and damaged lines."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.columns import EventColumns
from streams.collect.chunk import Chunk
from streams.collect.fast_irc import parse_irc_chunk, parse_irc_chunk_slowly
from tests.irc_lines import UUID, lines, twisted


def rows(events: EventColumns) -> list[tuple[object, ...]]:
    return [
        (events.viewers[w], int(a), i.tobytes(), int(k), int(m))
        for w, a, i, k, m in zip(events.who, events.at, events.ids, events.kind, events.amount, strict=True)
    ]


def assert_same(data: bytes, first_line_number: int = 1) -> Chunk:
    fast, slow = parse_irc_chunk(data, first_line_number), parse_irc_chunk_slowly(data, first_line_number)
    assert fast.lines == slow.lines
    assert fast.counts == slow.counts
    assert fast.dead == slow.dead
    assert fast.pending == slow.pending
    assert {c: (login, rows(e)) for c, (login, e) in fast.channels.items()} == {
        c: (login, rows(e)) for c, (login, e) in slow.channels.items()
    }
    for _, events in fast.channels.values():
        assert len(set(events.viewers)) == len(events.viewers)
        columns = (events.at, events.ids, events.kind, events.who, events.amount)
        assert [column.dtype.name for column in columns] == ["int64", "uint8", "uint8", "uint32", "uint32"]
        assert events.ids.shape == (len(events), 16)
    return fast


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fast_reading_equals_plain_reading_of_each_single_oddity(end: str) -> None:
    lines = twisted()
    assert_same(end.join(lines).encode())
    for number, line in enumerate(lines):
        assert_same((lines[0] + end + line + (end if number % 2 else "") + lines[0]).encode())
        assert_same(line.encode())


@given(st.lists(lines(), max_size=12), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
@example([b"@id;id=5 :a PRIVMSG #c x"], b"\n", True)
@example([b"", b"@", b"@ ", b":", b"@a", b" ", b"\r"], b"\n", False)
def test_fast_reading_equals_plain_reading(block: list[bytes], end: bytes, ended: bool) -> None:
    assert_same(end.join(block) + (end if ended else b""), 7)


@given(st.binary(max_size=400))
def test_fast_reading_equals_plain_reading_on_junk(data: bytes) -> None:
    assert_same(data)


def test_fast_reading_equals_plain_reading_on_real_and_generated_captures(shared_dir: Path) -> None:
    for name in ("data/forsen_2023-06-02.irc", "vectors/seals/kinds_400.irc"):
        chunk = assert_same((shared_dir / name).read_bytes())
        assert chunk.counts["events"] > 300


def test_an_overlong_line_is_dead_and_its_neighbours_live() -> None:
    good = f"@id={UUID};room-id=1;user-id=2;tmi-sent-ts=1767225600000 :a!a@a PRIVMSG #c :hi".encode()
    chunk = assert_same(b"\n".join([good, good + b"x" * 70_000, good]))
    assert [(d.line_number, d.length) for d in chunk.dead] == [(2, len(good) + 70_000)]
    assert chunk.counts["events"] == 2
