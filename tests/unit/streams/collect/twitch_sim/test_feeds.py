"""Blocks of chat: from a simulation, from a file, and stamped anew."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import zstandard

from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.simulation import LineWriter, Simulation
from streams.collect.twitch import Event, read_line
from streams.collect.twitch_sim import PreparedFeed, RecordedFeed, SimulatedFeed
from streams.collect.twitch_sim.block import NO_EVENT, Block
from streams.collect.twitch_sim.feed import Feed, FeedError

START_MS = 1_767_225_600_000
NOW_MS = 1_800_000_000_000


def simulated() -> Simulation:
    return Simulation(3, channels=5, rate_per_s=300)


def text(seconds: int = 60) -> bytes:
    writer = LineWriter(simulated())
    steps = simulated().run(START_MS, START_MS + seconds * 1000)
    return b"".join(line for step in steps for line in writer.lines(step))


def blocks_of(feed: Feed) -> list[Block]:
    blocks = list(feed.blocks())
    for block in blocks:
        block.derive(0, len(block))
    return blocks


def said_by(blocks: list[Block], rooms: list[tuple[str, str]]) -> list[tuple[bytes, str, int, int, bytes]]:
    """(line, login, at, kind, id) of every row."""
    return [
        (block.line(row), rooms[number][0], at, kind, ids if kind != NO_EVENT else b"")
        for block in blocks
        for row, number, at, kind, ids in zip(
            range(len(block)),
            block.channel.tolist(),
            block.at.tolist(),
            block.kind.tolist(),
            map(bytes, block.ids),
            strict=True,
        )
    ]


def check_against_the_plain_reading(blocks: list[Block], rooms: list[tuple[str, str]]) -> None:
    for line, login, at, kind, event_id in said_by(blocks, rooms):
        read = read_line(line[:-2])
        if isinstance(read, Event):
            assert (login, at, kind) == (read.channel_login, read.at_ms, read.kind)
            assert read.id in (None, event_id)
        else:
            assert kind == NO_EVENT


def test_a_simulated_feed_says_the_simulators_lines_and_knows_their_events() -> None:
    feed = SimulatedFeed(simulated(), START_MS, START_MS + 60_000)
    blocks = blocks_of(feed)
    assert b"".join(bytes(block.data) for block in blocks) == text()
    check_against_the_plain_reading(blocks, feed.rooms)


@pytest.mark.parametrize("packing", ["plain", "gz", "zst", "lf"])
def test_a_recorded_feed_says_the_files_lines(tmp_path: Path, packing: str) -> None:
    data, path = text(), tmp_path / "chat.irc"
    if packing == "gz":
        path.write_bytes(gzip.compress(data))
    elif packing == "zst":
        path.write_bytes(zstandard.compress(data))
    else:
        path.write_bytes(data if packing == "plain" else data.replace(b"\r\n", b"\n"))
    feed = RecordedFeed(path)
    blocks = blocks_of(feed)
    assert b"".join(bytes(block.data) for block in blocks) == data
    assert sorted(feed.rooms) == sorted(SimulatedFeed(simulated(), START_MS).rooms)
    check_against_the_plain_reading(blocks, feed.rooms)
    live = blocks_of(SimulatedFeed(simulated(), START_MS, START_MS + 60_000))
    ids = [set(map(bytes, np.concatenate([b.ids[b.kind != NO_EVENT] for b in one]))) for one in (blocks, live)]
    assert ids[0] == ids[1]


def test_what_is_no_tagged_chat_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "chat.irc"
    good = text(60)
    noise = b"PING :x\r\n:a!a@a JOIN #b\r\n\r\n:a!a@a PRIVMSG #ember :untagged\r\nnonsense\r\n"
    cut = good.index(b"\r\n") + 2
    path.write_bytes(good[:cut] + noise + good[cut:])
    feed = RecordedFeed(path)
    assert b"".join(bytes(block.data) for block in feed.blocks()) == good
    assert feed.left_out_lines == 4


def test_the_real_captures_are_replayed_line_for_line(shared_dir: Path) -> None:
    path = shared_dir / "data" / "forsen_2023-06-02.irc"
    data = path.read_bytes().replace(b"\r\n", b"\n")
    feed = RecordedFeed(path)
    blocks = blocks_of(feed)
    expected = [line + b"\r\n" for line in data.split(b"\n") if isinstance(line and read_line(line), Event)]
    assert [line for line, *_ in said_by(blocks, feed.rooms)] == expected
    check_against_the_plain_reading(blocks, feed.rooms)


def test_a_file_without_chat_and_no_file_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello\n")
    with pytest.raises(FeedError, match="no tagged chat"):
        RecordedFeed(tmp_path / "x")
    with pytest.raises(FeedError, match="No such file"):
        RecordedFeed(tmp_path / "y")
    (tmp_path / "z").write_bytes(gzip.compress(text(10))[:-200])
    with pytest.raises(FeedError, match="ends early"):
        RecordedFeed(tmp_path / "z")


def test_stamped_lines_bear_now_less_their_disorder_and_repeats_bear_what_they_bore() -> None:
    seen: dict[bytes, int] = {}
    repeats = 0
    simulation = Simulation(17, channels=8, rate_per_s=100)
    for block in SimulatedFeed(simulation, START_MS, START_MS + 600_000).blocks():
        before = block.at.copy()
        half = len(block) // 2
        block.stamp(0, half, NOW_MS)
        block.stamp(half, len(block), NOW_MS + 5_000)
        for row in range(len(block)):
            line, own = block.line(row), int(block.first[row]) == row
            assert f"tmi-sent-ts={block.at[row]}".encode() in line
            if own:
                now_ms = NOW_MS if row < half else NOW_MS + 5_000
                assert now_ms - block.at[row] == block.arrival[row] - before[row]
                seen[bytes(block.ids[row])] = int(block.at[row])
            else:
                repeats += 1
                assert seen[bytes(block.ids[row])] == block.at[row]
        chunk = parse_irc_chunk(bytes(block.data))
        assert not chunk.dead
    assert repeats > 0


def test_a_prepared_feed_says_the_same_and_stops_where_told() -> None:
    feed = SimulatedFeed(simulated(), START_MS, START_MS + 60_000)
    whole = b"".join(bytes(block.data) for block in feed.blocks())
    assert b"".join(bytes(block.data) for block in PreparedFeed(feed, 10**9).blocks()) == whole
    some = PreparedFeed(feed, 1)
    assert some.lines == len(next(iter(feed.blocks())))
