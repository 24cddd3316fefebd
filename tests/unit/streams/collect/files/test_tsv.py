"""Tab-separated logs: the channel comes from the options or the name, the time is local with milliseconds."""

from pathlib import Path

import pytest

from streams.collect.chunk import Chunk
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.source import open_source
from streams.collect.files.tsv import channel_of
from streams.collect.twitch import derived_id

LINE = b"2021-06-01 19:46:12,506\tNightbot\txxx! xxx\tyyy"
AT_UTC = 1_622_576_772_506


def read(tmp_path: Path, data: bytes, options: ReadOptions | None = None) -> Chunk:
    path = tmp_path / "fl0m_2021-06.tsv"
    path.write_bytes(data + b"\n")
    (chunk,) = open_source(path, options or ReadOptions())
    return chunk


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("/data/fl0m_2021-06.tsv.gz", "fl0m"),
        ("the_Name_2021.tsv", "the_name"),
        ("some_1.tsv", "some_1"),
        ("a-2021.tsv", "a"),
        ("plain", "plain"),
        ("n1_20210601.tsv", "n1_20210601"),
    ],
)
def test_the_name_tells_the_channel(name: str, channel: str) -> None:
    assert channel_of(name, ReadOptions()) == channel
    assert channel_of(name, ReadOptions(channel="#Other")) == "other"


@pytest.mark.parametrize(("name", "given"), [("-", None), ("é.tsv", None), ("x.tsv", "two words")])
def test_without_a_channel_it_must_be_given(name: str, given: str | None) -> None:
    with pytest.raises(SourceError, match="--channel"):
        channel_of(name, ReadOptions(channel=given))


def test_each_line_is_a_message_with_a_derived_id(tmp_path: Path) -> None:
    chunk = read(tmp_path, LINE + b"\r\n" + LINE + b"\n\n" + LINE.replace(b",506", b".007"))
    login, events = chunk.channels["twitch:login:fl0m"]
    assert login == "fl0m"
    assert events.viewers == [("twitch:login:nightbot", "nightbot")]
    assert events.at.tolist() == [AT_UTC, AT_UTC, AT_UTC - 499]
    assert [row.tobytes() for row in events.ids[:2]] == [derived_id(LINE, 0), derived_id(LINE, 1)]
    assert chunk.counts == {"events": 3, "blank_lines": 1}


def test_the_zone_moves_the_time(tmp_path: Path) -> None:
    chunk = read(tmp_path, LINE, ReadOptions(tz="America/New_York"))
    assert chunk.channels["twitch:login:fl0m"][1].at.tolist() == [AT_UTC + 4 * 3_600_000]


def test_lines_of_another_form_are_dead(tmp_path: Path) -> None:
    bad = [
        b"2021-06-01 19:46:12,506\tlogin",
        b"2021-06-01 19:46\tlogin\ttext",
        b"2021-06-31 19:46:12,506\tlogin\ttext",
        b"2021-06-01 24:46:12,506\tlogin\ttext",
        b"2009-06-01 19:46:12,506\tlogin\ttext",
        b"2021-06-01 19:46:12,506\t\ttext",
        b"2021-06-01 19:46:12,506\ttwo words\ttext",
        b"2021-06-01 19:46:12,506\t\xff\ttext",
        LINE + b"x" * 66_000,
    ]
    chunk = read(tmp_path, b"\n".join([LINE, *bad, LINE]))
    assert [(d.line_number, d.reason) for d in chunk.dead] == [
        (2, "line is not time, login and text, separated by tabs"),
        (3, "line is not time, login and text, separated by tabs"),
        (4, "time stamp is impossible"),
        (5, "time stamp is impossible"),
        (6, "time is not in 2011..2099"),
        (7, "user has no login"),
        (8, "user login is not a login"),
        (9, "user login is not a login"),
        (10, "line is longer than 65536 bytes"),
    ]
    assert chunk.counts["events"] == 2
