"""Rules of the rows that readers put by: they come back whole, by channel and epoch, whatever order they came in."""

from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import EventColumns
from streams.collect.fast_irc import parse_irc_chunk, read_columns
from streams.replay.rows import RowCollector, RowFiles, Run, packed_pairs

HOUR_MS = 3_600_000
Event = tuple[int, bytes, int, int, tuple[str, str]]


def events_of(columns: EventColumns) -> list[Event]:
    """Sorted (at, id, kind, amount, viewer)."""
    viewers = list(columns.viewers)
    return sorted(
        zip(
            columns.at.tolist(),
            [row.tobytes() for row in columns.ids],
            columns.kind.tolist(),
            columns.amount.tolist(),
            [viewers[index] for index in columns.who.tolist()],
            strict=True,
        )
    )


def test_what_is_put_by_is_what_the_chunk_holds(shared_dir: Path) -> None:
    data = (shared_dir / "vectors/seals/kinds_400.irc").read_bytes()
    whole = parse_irc_chunk(data)
    chunk, rows, _ = read_columns(data)
    files = RowFiles(1)
    collector = RowCollector(files, 0, HOUR_MS)
    taken, runs = collector.add(rows, chunk)
    runs += collector.rest()
    left = {channel: events_of(events) for channel, (_, events) in chunk.channels.items()}
    assert taken + sum(map(len, left.values())) == sum(len(events) for _, events in whole.channels.values())
    found: dict[str, list[Event]] = dict(left)
    for run in runs:
        events = events_of(files.events([run]))
        assert len(events) == run.rows
        assert {at // HOUR_MS for at, *_ in events} == {run.epoch}
        found.setdefault(f"twitch:id:{run.room}", []).extend(events)
    assert {channel: sorted(events) for channel, events in found.items()} == {
        channel: events_of(events) for channel, (_, events) in whole.channels.items()
    }
    files.close()


def test_runs_of_several_pieces_are_read_as_one_batch(shared_dir: Path) -> None:
    data = (shared_dir / "data/forsen_2023-06-02.irc").read_bytes()
    files = RowFiles(2)
    runs: list[Run] = []
    for file in (0, 1):
        chunk, rows, _ = read_columns(data)
        collector = RowCollector(files, file, HOUR_MS)
        runs += collector.add(rows, chunk)[1] + collector.rest()
    once = [run for run in runs if run.file == 0]
    assert events_of(files.events(runs)) == sorted(2 * events_of(files.events(once)))
    files.close()


LOGIN = st.text("abcxyz0189_", min_size=1, max_size=25)
USER = st.integers(0, 10**16 - 1)


@given(st.lists(st.tuples(USER, LOGIN), min_size=1, max_size=40))
def test_packed_pairs_are_what_msgpack_gives(pairs: list[tuple[int, str]]) -> None:
    digits = np.zeros((len(pairs), 16), np.uint8)
    logins = np.zeros((len(pairs), 32), np.uint8)
    for row, (user, login) in enumerate(pairs):
        text = str(user).encode()
        digits[row, 16 - len(text) :] = np.frombuffer(text, np.uint8)
        logins[row, : len(login)] = np.frombuffer(login.encode(), np.uint8)
    wanted = [msgspec.msgpack.encode((f"twitch:id:{user}", login)) for user, login in pairs]
    packed, lengths = packed_pairs(digits, logins)
    assert packed == b"".join(wanted)
    assert lengths.tolist() == list(map(len, wanted))
