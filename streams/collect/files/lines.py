"""Blocks of whole lines, cut from the unpacked bytes with bounded memory. After `decompress`, before the formats.

In: a byte stream. Out: blocks of about 1 MiB that end at a line end (the last may lack it), with the number of their
first line. A line beyond the bound is hashed as it passes and comes out dead; so does the place where the input breaks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from blake3 import blake3

from streams.collect.chunk import LINE_TOO_LONG, MAX_LINE_BYTES, DeadLine, dead_line

BLOCK_BYTES: Final = 1024 * 1024
"""Blocks of this size were the fastest to parse; memory of a reader is a small multiple."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines, and the dead lines met on the way to them; these are not part of data. broken: the last of these is
    where the input could be read no further. input_bytes: of the input, packed as it is, taken since the last block;
    None where nobody counted them."""

    first_line_number: int
    data: bytes
    dead: list[DeadLine] = field(default_factory=list)
    broken: bool = False
    input_bytes: int | None = None


class ByteStream(Protocol):
    """What blocks are cut from. fault: why reading ended before the input's end, known when read() returns nothing."""

    @property
    def fault(self) -> str | None: ...
    def read(self, size: int, /) -> bytes: ...


def line_blocks(
    stream: ByteStream, head: bytes = b"", first_line_number: int = 1, block_bytes: int = BLOCK_BYTES
) -> Iterator[LineBlock]:
    """Cut stream into blocks; head was read from it before. Memory: block_bytes plus one line's bound."""
    carry, number = head, first_line_number
    ended = False
    while not ended:
        piece = stream.read(block_bytes)
        ended = not piece
        data = carry + piece
        cut = data.rfind(b"\n") + 1
        carry = data[cut:]
        if cut:
            block = data[:cut]
            yield LineBlock(number, block)
            number += block.count(b"\n")
        if too_long(carry):
            dead, carry = _pass_over(stream, carry, number, block_bytes)
            yield LineBlock(number, b"", [dead])
            number += 1
    if stream.fault is not None:
        # The unfinished line belongs to the fault: where it was cut nobody knows.
        yield LineBlock(number, b"", [dead_line(number, stream.fault, carry)], broken=True)
    elif carry:
        yield LineBlock(number, carry)


def too_long(start: bytes) -> bool:
    """Whether a line that starts with these bytes is beyond the bound; a carriage return may belong to its end."""
    return len(start) - start.endswith(b"\r") > MAX_LINE_BYTES


def _pass_over(stream: ByteStream, start: bytes, number: int, block_bytes: int) -> tuple[DeadLine, bytes]:
    """Read to the end of a line that is too long, hashing it; returns its dead letter and what follows its end."""
    hasher, length, rest = blake3(), 0, b""
    piece = start
    held = b""  # a carriage return that may belong to the line end
    while piece:
        line, end, rest = (held + piece).partition(b"\n")
        held = b""
        if line.endswith(b"\r"):
            line, held = line[:-1], b"\r"
        hasher.update(line)
        length += len(line)
        if end:
            break
        piece = stream.read(block_bytes)
    return DeadLine(number, LINE_TOO_LONG, hasher.hexdigest(), length), rest
