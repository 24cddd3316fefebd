"""Time-stamped untagged lines: stamps are local and inherited; torn and joined lines are dead."""

from pathlib import Path

import pytest

from streams.collect.chunk import Chunk
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.source import open_source
from streams.collect.twitch import derived_id

STAMP = "2019-05-16_08:47:10 — ".encode()
AT_UTC = 1_557_996_430_000


def line(nick: str = "ann", text: str = "hi") -> bytes:
    return f":{nick}!{nick}@{nick}.tmi.twitch.tv PRIVMSG #Chan :{text}".encode()


def read(tmp_path: Path, data: bytes, tz: str = "UTC") -> list[Chunk]:
    path = tmp_path / "chat.log"
    path.write_bytes(data + b"\n")
    return list(open_source(path, ReadOptions(format="stamped", tz=tz)))


def dead(chunks: list[Chunk]) -> list[tuple[int, str]]:
    return [(letter.line_number, letter.reason) for chunk in chunks for letter in chunk.dead]


def test_a_stamp_holds_until_the_next_one_over_blank_lines(tmp_path: Path) -> None:
    later = STAMP.replace(b"10 ", b"59 ")
    (chunk,) = read(tmp_path, b"\n".join([STAMP + line(), line("bob"), b"", line("cy"), later + line("dee")]))
    login, events = chunk.channels["twitch:login:chan"]
    assert (login, events.at.tolist()) == ("chan", [AT_UTC, AT_UTC, AT_UTC, AT_UTC + 49_000])
    assert [events.viewers[w] for w in events.who] == [(f"twitch:login:{n}", n) for n in ("ann", "bob", "cy", "dee")]
    assert events.kind.tolist() == events.amount.tolist() == [0, 0, 0, 0]
    assert chunk.counts["blank_lines"] == 1


def test_ids_are_of_the_line_with_its_stamp_inherited_or_not(tmp_path: Path) -> None:
    (chunk,) = read(tmp_path, b"\n".join([STAMP + line(), line(), line("bob"), STAMP.replace(b"10 ", b"11 "), line()]))
    ids = [row.tobytes() for row in chunk.channels["twitch:login:chan"][1].ids]
    assert ids == [
        derived_id(STAMP + line(), 0),
        derived_id(STAMP + line(), 1),
        derived_id(STAMP + line("bob"), 0),
        derived_id(STAMP.replace(b"10 ", b"11 ") + line(), 0),
    ]


def test_the_stamp_goes_on_into_the_next_block(tmp_path: Path) -> None:
    chunks = read(tmp_path, STAMP + line() + b"\n" + (line("bob", "x" * 400) + b"\n") * 6_000)
    assert len(chunks) > 1
    assert {int(at) for chunk in chunks for at in chunk.channels["twitch:login:chan"][1].at} == {AT_UTC}


def test_stamps_are_of_the_zone_that_is_given(tmp_path: Path) -> None:
    (chunk,) = read(tmp_path, STAMP + line(), tz="Europe/Berlin")
    assert chunk.channels["twitch:login:chan"][1].at.tolist() == [AT_UTC - 2 * 3_600_000]
    with pytest.raises(SourceError, match="time zone 'Mars/Base' is unknown; give an IANA name"):
        read(tmp_path, STAMP + line(), tz="Mars/Base")


def test_joins_and_parts_are_ignored(tmp_path: Path) -> None:
    (chunk,) = read(tmp_path, STAMP + b":a!a@a.tmi.twitch.tv JOIN #c\n:b!b@b.tmi.twitch.tv PART #c")
    assert chunk.counts == {"ignored_commands": 2}


def test_torn_and_joined_lines_and_lines_without_a_stamp_are_dead(tmp_path: Path) -> None:
    chunks = read(
        tmp_path,
        b"\n".join(
            [
                line(),
                STAMP + line(),
                STAMP + b"n.tmi.twitch.tv PRIVMSG #chan :the rest",
                STAMP + b":ann!ann@ann.tmi.twitch.tv PRIVMSG #cha",
                STAMP + b":ann!ann@an",
                line(text="first" + STAMP.decode() + line().decode()),
                line(text="first" + line("bob").decode()),
                STAMP.replace(b"05-16", b"13-99") + line(),
                line(),
                STAMP.replace(b":10 ", b":60 ") + line(),
                STAMP.replace(b"2019", b"1970") + line(),
                STAMP + line(),
            ]
        ),
    )
    assert dead(chunks) == [
        (1, "no time stamp before this line"),
        (3, "unknown command"),
        (4, "PRIVMSG has no text"),
        (5, "line has no command"),
        (6, "another line starts within this one"),
        (7, "another line starts within this one"),
        (8, "time stamp is impossible"),
        (9, "no time stamp before this line"),
        (10, "time stamp is impossible"),
        (11, "time is not in 2011..2099"),
    ]
    assert chunks[0].counts["events"] == 2
