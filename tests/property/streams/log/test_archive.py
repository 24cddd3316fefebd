"""Random records in, the same records out, whatever was split, written twice, compacted or asked for."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import Type, encode
from streams.log.archive import compact, read_archive, read_records, write_archive
from streams.log.archive.layout import row_of
from streams.log.port import LogRecord
from tests.archive_records import DAY_MS, NOON_MS, Pair, record

KINDS: list[Type] = ["tick", "end", "reseal"]
names = st.sampled_from(["ann", "bob", "ÄÖ", "a/b", ".."]) | st.text(max_size=20)
slices = st.integers(0, 30)
times = st.integers(-3 * DAY_MS, 3 * DAY_MS).map(lambda ms: NOON_MS + ms)


@st.composite
def readable(draw: st.DrawFn, offset: int) -> LogRecord:
    login = draw(names)
    channel = draw(st.sampled_from(["twitch:id:1", "twitch:id:22", "twitch:login:ann"]))
    if draw(st.booleans()):
        start_ms = draw(times)
        kind: Type = draw(st.sampled_from(KINDS))
        value = encode(kind, channel, login, draw(names), offset, (start_ms, start_ms + 1000, "recovered"))
        return LogRecord(offset, channel.encode(), value, draw(times))
    return record(offset, login, channel=channel, at_ms=draw(times), events=draw(st.integers(1, 4)))


@st.composite
def logs(draw: st.DrawFn) -> list[Pair]:
    pairs: list[Pair] = []
    for partition in range(draw(st.integers(1, 3))):
        offset = draw(st.integers(0, 5))
        for _ in range(draw(st.integers(0, 12))):
            made = draw(readable(offset) | st.builds(LogRecord, st.just(offset), st.binary(), st.binary(), times))
            pairs.append((partition, made))
            offset += draw(st.integers(1, 3))
    return pairs


def channel_of(pair: Pair) -> str:
    return row_of(*pair).channel


@settings(max_examples=60)
@given(
    logs(), st.integers(1, 8000), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=3), st.booleans()
)
def test_same_records_out(log: list[Pair], flush_bytes: int, again: list[tuple[int, int]], compacted: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_archive(root, log, flush_bytes=flush_bytes)
        for start, end in again:
            write_archive(root, log[start:end])
        if compacted:
            for day in {path.name for path in root.glob("*/*")}:
                compact(root, day)
        found = list(read_records(root))
        assert sorted(found) == sorted(log)
        for channel in {channel_of(pair) for pair in log}:
            of_channel = [pair for pair in found if channel_of(pair) == channel]
            assert of_channel == sorted(of_channel, key=lambda pair: (pair[0], pair[1].offset))
            if channel.startswith("twitch:"):
                expected = sorted(pair for pair in log if channel_of(pair) == channel)
                assert list(read_records(root, channel)) == expected


@settings(max_examples=40)
@given(logs(), times, times)
def test_a_time_gives_what_touches_it_and_what_has_none(log: list[Pair], from_ms: int, to_ms: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(folder), log)
        found = {(partition, offset) for partition, offset, _ in read_archive(Path(folder), None, from_ms, to_ms)}
        spans = {(partition, made.offset): row_of(partition, made).span_ms() for partition, made in log}
        assert found == {
            place for place, span in spans.items() if span is None or (span[0] < to_ms and span[1] > from_ms)
        }
