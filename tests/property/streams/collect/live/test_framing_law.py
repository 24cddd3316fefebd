"""Framing: however bytes are split, the lines are the same; memory is bounded whatever comes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.collect.chunk import MAX_LINE_BYTES
from streams.collect.live.framing import LineBuffer

pieces = st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\r\n", b"a\n", b"ab\r\ncd"]), max_size=30)


@given(pieces)
def test_any_split_gives_the_same_lines(split: list[bytes]) -> None:
    buffer = LineBuffer()
    lines = b"".join(buffer.feed(piece) for piece in split)
    whole = b"".join(split)
    end = whole.rfind(b"\n") + 1
    assert lines == whole[:end]
    assert buffer.held_bytes == len(whole) - end


def test_an_endless_line_is_cut_off_at_the_bound_counted_and_skipped(seed: int) -> None:
    chance = random.Random(seed)
    for length in (MAX_LINE_BYTES, MAX_LINE_BYTES + 1, MAX_LINE_BYTES + 2, 300_000):
        stream = b"before\r\n" + b"x" * length + b"\r\nafter\r\n"
        for largest in (1, 7, 5_000, 1_000_000) if length < 100_000 else (5_000, 100_000):
            buffer, got, at = LineBuffer(), [], 0
            while at < len(stream):
                size = chance.randint(1, largest)
                got.append(buffer.feed(stream[at : at + size]))
                at += size
                assert buffer.held_bytes <= MAX_LINE_BYTES + 1
            before, middle, after, rest = b"".join(got).split(b"\n")
            assert (before, after, rest) == (b"before\r", b"after\r", b"")
            assert len(middle) + buffer.skipped_bytes == length + 1  # with the carriage return
            assert (
                len(middle.removesuffix(b"\r")) > MAX_LINE_BYTES or length <= MAX_LINE_BYTES
            )  # so the Intake makes a dead letter
            assert buffer.cut_lines == 1 or not buffer.skipped_bytes
            assert not buffer.cut_lines or length > MAX_LINE_BYTES


def test_a_line_that_never_ends_holds_no_memory_and_the_next_connection_starts_afresh() -> None:
    buffer = LineBuffer()
    out = sum(len(buffer.feed(b"x" * 10_000)) for _ in range(1_000))
    assert out <= MAX_LINE_BYTES + 3
    assert (buffer.cut_lines, buffer.held_bytes) == (1, 0)
    assert buffer.skipped_bytes + out - 1 == 10_000_000
    assert buffer.feed(b"x\nPING\r\nPI") == b"PING\r\n"
