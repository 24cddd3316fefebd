"""Ids of events that have none: the count of identical earlier lines in that input, however it is cut."""

import pickle
import random

from streams.collect.chunk import Chunk
from streams.collect.derived_ids import DerivedIds, split_pending
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.twitch import derived_id

ID = "0123abcd-4567-89ef-0123-456789abcd"


def line(at: int, text: str, identifier: str = "") -> bytes:
    return f"@{identifier}room-id=1;user-id=2;tmi-sent-ts={1_767_225_600_000 + at} :a!a@a PRIVMSG #c :{text}".encode()


def ids(chunk: Chunk) -> list[bytes]:
    return [row.tobytes() for _, events in chunk.channels.values() for row in events.ids]


def wanted(lines: list[bytes]) -> list[bytes]:
    seen: dict[bytes, int] = {}
    out = []
    for one in lines:
        out.append(derived_id(one, seen.get(one, 0)))
        seen[one] = seen.get(one, 0) + 1
    return out


def test_identical_lines_get_ids_by_their_count_over_all_chunks_of_the_input() -> None:
    lines = [line(1, "x"), line(2, "y"), line(1, "x"), line(1, "x"), line(2, "y")]
    derived, found = DerivedIds(), []
    for one in lines:
        chunk = derived.settle(parse_irc_chunk(one + b"\r\n"))
        assert chunk.pending == []
        found += ids(chunk)
    assert found == wanted(lines)
    assert len(set(found)) == 5
    assert derived.repeated_lines == 3


def test_counts_stay_exact_when_most_lines_have_left_memory() -> None:
    rng = random.Random(7)
    lines = [line(rng.randrange(40), str(rng.randrange(8))) for _ in range(3_000)]
    derived, found = DerivedIds(max_recent_lines=50), []
    for start in range(0, len(lines), 37):
        found += ids(derived.settle(parse_irc_chunk(b"\n".join(lines[start : start + 37]))))
    assert found == wanted(lines)
    assert len(set(found)) == len(lines)


def test_pending_rows_may_wait_apart_from_the_others() -> None:
    block = [line(1, "x"), line(1, "x", f"id={ID}00;"), line(1, "x"), line(2, "y", f"id={ID}01;")]
    whole = ids(DerivedIds().settle(parse_irc_chunk(b"\n".join(block))))
    chunk = parse_irc_chunk(b"\n".join(block))
    settled, waiting = (pickle.loads(pickle.dumps(part)) for part in split_pending(chunk))
    assert settled.pending == []
    assert (settled.lines, waiting.lines, settled.counts["events"]) == (4, 0, 4)
    assert [p.line_number for p in waiting.renumbered(10).pending] == [11, 13]
    assert len(ids(settled)) == len(ids(waiting)) == 2
    assert sorted(ids(settled) + ids(DerivedIds().settle(waiting))) == sorted(whole)


def test_a_chunk_of_pending_rows_only_leaves_nothing_behind() -> None:
    settled, waiting = split_pending(parse_irc_chunk(line(1, "x")))
    assert settled.channels == {}
    assert len(ids(waiting)) == 1
