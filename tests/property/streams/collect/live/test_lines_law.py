"""The three readings of a line are one: the plain rules, the quick reading of single lines, the reading by columns."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import MAX_AT_MS
from schemas.dead import decode as decode_dead
from streams.collect.chunk import MAX_LINE_BYTES, dead_line
from streams.collect.irc import Malformed, parse_line
from streams.collect.live import lines as lines_module
from streams.collect.live.lines import QuickLines
from streams.collect.twitch import Event, Skip, derived_id, read_line
from tests.irc_lines import lines, twisted
from tests.live import Row, Sink, intake_into

CHAT = (b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG")


def plainly(line: bytes) -> Event | Skip | str | None:
    """The oracle: an event, a skip, None for control, or why the line is dead."""
    try:
        return read_line(line) if parse_line(line).verb in CHAT else None
    except Malformed as error:
        return str(error)


def quickly(reader: QuickLines, line: bytes) -> Event | Skip | str | None:
    try:
        return reader.read(line)
    except Malformed as error:
        return str(error)


def assert_quick_equals_plain(block: list[bytes]) -> None:
    reader = QuickLines()
    for _ in range(2):  # the second time the channels and viewers are known, which is the quick way
        for line in block:
            if line:
                assert quickly(reader, line) == plainly(line)


UNTAGGED = [
    f"{source}{verb} {rest}"
    for source in (":ann!ann@h ", ":ann ", ": ", ":", "", ":a!b@c  ", ":é! ", f":{'a' * 65} ")
    for verb in ("PRIVMSG", "JOIN", "PING", "", "001", "USERNOTICE", "privmsg", "CLEARCHAT")
    for rest in ("#chan :hi", "#chan", "#chan ", "#chan  :hi", "chan :hi", " #chan :hi", "", "#é :x", "# :x", "#c :")
]


def test_quick_reading_equals_plain_reading_of_untagged_lines() -> None:
    assert_quick_equals_plain([line.encode() for line in UNTAGGED if line])


def whole_lines(block: list[bytes]) -> list[bytes]:
    return [line for line in b"\n".join(block).split(b"\n") if line]


@given(st.lists(lines(), max_size=12))
def test_quick_reading_equals_plain_reading(block: list[bytes]) -> None:
    assert_quick_equals_plain(whole_lines(block))


def test_quick_reading_equals_plain_reading_of_each_single_oddity() -> None:
    ordinary = twisted()[0].encode()
    for line in twisted():
        assert_quick_equals_plain([ordinary, line.encode(), ordinary])


@given(st.binary(min_size=1, max_size=400).filter(lambda data: b"\n" not in data))
def test_quick_reading_equals_plain_reading_on_junk(data: bytes) -> None:
    assert_quick_equals_plain([data])


def test_quick_reading_equals_plain_reading_on_real_captures(shared_dir: Path) -> None:
    for name in ("data/forsen_2023-06-02.irc", "vectors/seals/kinds_400.irc"):
        data = (shared_dir / name).read_bytes().replace(b"\r", b"")
        assert_quick_equals_plain(whole_lines([data]))


@pytest.fixture(params=[1, 10**9], ids=["by columns", "line by line"])
def columns_from(request: pytest.FixtureRequest) -> Iterator[int]:
    yield request.param


def expected(block: list[bytes]) -> tuple[list[Row], list[bytes], list[tuple[str, str, int]]]:
    """Events, control lines and dead letters that the Intake must make of these lines."""
    rows: list[Row] = []
    control, dead = [], []
    for line in block:
        found = plainly(line)
        if len(line) > MAX_LINE_BYTES:
            found = "line is longer than 65536 bytes"
        if found is None:
            control.append(line)
        elif isinstance(found, str):
            letter = dead_line(1, found, line)
            dead.append((letter.reason, letter.hash, letter.length))
        elif isinstance(found, Event):
            event_id = found.id or derived_id(line, 0)
            rows.append(((found.viewer, found.login), found.at_ms, event_id, found.kind, found.amount))
    return sorted(rows), control, sorted(dead)


def assert_taken(block: list[bytes], end: bytes, columns_from: int) -> None:
    given_lines = [line.removesuffix(b"\r") for line in whole_lines(block)]
    given_lines = [line for line in given_lines if line]
    sink = Sink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "COLUMNS_FROM_LINES", columns_from)
        intake = intake_into(sink)
        control: list[bytes] = []
        block_bytes = b"".join(line + end for line in given_lines)
        intake.received(1, block_bytes, 1_767_225_600_000, lambda line, at_ms: control.append(line))
        intake.clock.sample(0, 10**15)  # no clock of Twitch's, and late by ours, so nothing is put aside as wild
        intake.flush(MAX_AT_MS)
    rows, wanted_control, dead = expected(given_lines)
    assert sink.rows() == rows
    assert control == wanted_control
    letters = [decode_dead(letter) for letter in sink.dead]
    assert sorted((letter.reason, letter.hash, letter.length) for letter in letters if letter.what == "line") == dead
    assert intake.counters.lines == len(given_lines)
    taken = intake.counters
    skipped = taken.shared_chat_copies + taken.room_clears + taken.notices_without_user
    assert len(rows) + len(control) + len(dead) + skipped == taken.lines


@given(st.lists(lines(), max_size=12), st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([1, 10**9]))
def test_the_intake_takes_what_the_plain_rules_say(block: list[bytes], end: bytes, columns_from: int) -> None:
    assert_taken(block, end, columns_from)


def test_the_intake_takes_each_single_oddity_as_the_plain_rules_say(columns_from: int) -> None:
    odd = [line.encode() for line in twisted()]
    for start in range(0, len(odd), 40):
        assert_taken(odd[start : start + 40], b"\r\n", columns_from)


def test_an_overlong_line_is_a_dead_letter_and_its_neighbours_live(columns_from: int) -> None:
    good = twisted()[0].encode()
    assert_taken([good, good + b"x" * 70_000, good], b"\r\n", columns_from)
