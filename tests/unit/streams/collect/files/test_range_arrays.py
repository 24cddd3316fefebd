"""Ranges read straight into arrays give the lines, and as many dead ones, that blocks of lines give."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.collect.chunk import MAX_LINE_BYTES, DeadLine
from streams.collect.files.lines import LineBlock
from streams.collect.files.split import ByteRange, range_arrays, range_blocks

PADDING = 8
LINE = st.one_of(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    st.integers(MAX_LINE_BYTES - 2, 3 * MAX_LINE_BYTES).map(lambda size: b"x" * size),
)


@given(st.lists(LINE, max_size=8), st.booleans(), st.sampled_from([16, 1000, MAX_LINE_BYTES, 1 << 20]))
def test_arrays_are_the_blocks(lines: list[bytes], ended: bool, block_bytes: int) -> None:
    content = b"before\n" + b"\n".join(lines) + (b"\n" if ended else b"")
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content)
        part = ByteRange(str(path), 7, len(content), "irc")
        wanted = [(block.data, block.dead) for block in range_blocks(part)]
        data, dead = b"", list[DeadLine]()
        for block in range_arrays(part, block_bytes, PADDING):
            if isinstance(block, np.ndarray):
                assert not block[-PADDING:].any()
                data += block[:-PADDING].tobytes()
            else:
                assert isinstance(block, LineBlock)
                data += block.data
                dead += block.dead
    # A line that ended within a block is not dead yet: it is for the reader to measure it.
    long_ones = [line for line in data.split(b"\n") if len(line) > MAX_LINE_BYTES]
    assert len(dead) + len(long_ones) == sum(len(dead) for _, dead in wanted) + sum(
        len(line) > MAX_LINE_BYTES for block, _ in wanted for line in block.split(b"\n")
    )
    assert [line for line in data.split(b"\n") if len(line) <= MAX_LINE_BYTES and line] == [
        line for block, _ in wanted for line in block.split(b"\n") if len(line) <= MAX_LINE_BYTES and line
    ]


def test_a_line_of_just_the_bound_lives_wherever_an_array_ends() -> None:
    line = b"x" * MAX_LINE_BYTES + b"\r\n"
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(line + b"a\r\n")
        for block_bytes in range(MAX_LINE_BYTES - 1, MAX_LINE_BYTES + 4):
            whole = ByteRange(str(path), 0, len(line) + 3, "irc")
            found = [
                block[:-PADDING].tobytes() if isinstance(block, np.ndarray) else block
                for block in range_arrays(whole, block_bytes, PADDING)
            ]
            assert found in ([line + b"a\r\n"], [line, b"a\r\n"]), block_bytes
