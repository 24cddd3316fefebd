"""Blocks of whole lines: nothing lost or cut, numbers right, memory bounded."""

import io
import tracemalloc

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from streams.collect.chunk import LINE_TOO_LONG, MAX_LINE_BYTES
from streams.collect.files.lines import line_blocks


class Stream:
    """Bytes with an optional fault at their end."""

    def __init__(self, data: bytes, fault: str | None = None) -> None:
        self._data, self.fault = io.BytesIO(data), fault

    def read(self, size: int, /) -> bytes:
        return self._data.read(size)


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line)), st.integers(1, 30), st.booleans())
def test_blocks_are_the_input_cut_at_line_ends(lines: list[bytes], block_bytes: int, ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    blocks = list(line_blocks(Stream(data), block_bytes=block_bytes))
    assert b"".join(block.data for block in blocks) == data
    number = 1
    for block in blocks[:-1]:
        assert block.data.endswith(b"\n")
        assert block.first_line_number == number
        number += block.data.count(b"\n")
    assert all(not block.dead and block.data for block in blocks)


def test_what_was_read_before_comes_first() -> None:
    blocks = list(line_blocks(Stream(b"b\nc\n"), head=b"a\nb", block_bytes=2))
    assert b"".join(block.data for block in blocks) == b"a\nbb\nc\n"


def test_a_line_of_10_mb_is_dead_with_its_hash_and_costs_little_memory() -> None:
    long = b"x" * 10_000_000
    data = b"one\n" + long + b"\r\ntwo\n"
    tracemalloc.start()
    blocks = list(line_blocks(Stream(data), block_bytes=16_384))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes - len(data) < 500_000 or peak_bytes < 1_000_000
    dead = [letter for block in blocks for letter in block.dead]
    assert [(d.line_number, d.reason, d.length) for d in dead] == [(2, LINE_TOO_LONG, len(long))]
    assert dead[0].hash == blake3(long).hexdigest()
    assert [(b.first_line_number, b.data) for b in blocks if b.data] == [(1, b"one\n"), (3, b"two\n")]


def test_a_long_line_may_be_the_last_and_unended() -> None:
    long = b"y" * (MAX_LINE_BYTES * 3)
    blocks = list(line_blocks(Stream(b"a\n" + long), block_bytes=1_000))
    assert [(d.line_number, d.length) for block in blocks for d in block.dead] == [(2, len(long))]


def test_the_place_where_an_input_breaks_is_one_dead_line() -> None:
    blocks = list(line_blocks(Stream(b"a\nb\nunfinished", fault="gzip data ends early")))
    assert [(b.first_line_number, b.data) for b in blocks if b.data] == [(1, b"a\nb\n")]
    dead = [letter for block in blocks for letter in block.dead]
    assert [(d.line_number, d.reason, d.length) for d in dead] == [(3, "gzip data ends early", 10)]


def test_a_line_of_just_the_bound_lives_wherever_a_block_ends() -> None:
    line = b"x" * MAX_LINE_BYTES + b"\r\n"
    for block_bytes in range(MAX_LINE_BYTES - 1, MAX_LINE_BYTES + 4):
        blocks = list(line_blocks(Stream(line + b"a\r\n"), block_bytes=block_bytes))
        assert [block.dead for block in blocks if block.dead] == []
        assert b"".join(block.data for block in blocks) == line + b"a\r\n"
