"""One big plain file as ranges of whole lines, to be read by several processes. Beside `source`.

Out of each range come chunks whose line numbers count from the range's start and whose pending ids are unsettled: the
caller adds the lines of the ranges before (`Chunk.renumbered`) and settles in order (`derived_ids.split_pending` keeps
the rows that must wait; in tagged files they are few). The result is that of reading the file whole.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from streams.collect.chunk import MAX_LINE_BYTES, Chunk
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import AS_FOUND, Formats, ReadOptions, read_whole_block
from streams.collect.files.lines import LineBlock, line_blocks, too_long
from streams.collect.files.names import STDIN
from streams.collect.files.source import FORMATS, Source

MIN_RANGE_BYTES: Final = 4 * 1024 * 1024
_SEEK_BYTES: Final = 64 * 1024
_LF: Final = 0x0A


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes [start, end) of a plain file of the named format; start and end lie behind line ends."""

    path: str
    start: int
    end: int
    format: str


def split_source(
    source: str | Path,
    jobs: int,
    options: ReadOptions = AS_FOUND,
    formats: Formats = FORMATS,
    min_range_bytes: int = MIN_RANGE_BYTES,
) -> list[ByteRange] | None:
    """Up to jobs ranges of about equal size, at least min_range_bytes each; None where the input must be read whole.

    That is: standard input and pipes, packed files, formats whose lines lean on earlier ones, small files. Raises
    SourceError.
    """
    if str(source) == STDIN or not Path(source).is_file():  # a pipe is read once, so not even its head may be looked at
        return None
    with Source(source, options, formats) as opened:
        size, name = opened.total_bytes or 0, opened.format.name
        if opened.packing is not None or opened.block_reader is None:
            return None
    count = min(jobs, size // min_range_bytes)
    if count < 2:
        return None
    with Path(source).open("rb") as file:
        cuts = [_line_start(file, size * part // count) for part in range(1, count)]
    bounds = sorted({0, *cuts, size})
    return [ByteRange(str(source), a, b, name) for a, b in pairwise(bounds)]


def read_range(part: ByteRange, options: ReadOptions = AS_FOUND, formats: Formats = FORMATS) -> Iterator[Chunk]:
    """The chunks of one range, numbered from its start, ids unsettled. Raises SourceError where the file fails."""
    form = formats.lines[part.format]
    if form.block_reader is None:
        raise SourceError(f"{part.path}: format {part.format!r} cannot be read in ranges; read it with open_source")
    read = form.block_reader(part.path, options)
    for block in range_blocks(part):
        yield read_whole_block(read, block)


def range_blocks(part: ByteRange) -> Iterator[LineBlock]:
    """The blocks of one range, numbered from its start. Raises SourceError where the file fails."""
    with _opened(part) as file:
        yield from line_blocks(_Slice(part, file, part.end - part.start))


def range_arrays(part: ByteRange, block_bytes: int, padding: int) -> Iterator[NDArray[np.uint8] | LineBlock]:
    """The blocks of one range as arrays of their bytes, read straight into them, with that many zeros behind. An array
    is used again for the next block. From a line on that is too long, blocks as `range_blocks` gives them, whose
    numbers count from there. Raises SourceError where the file fails."""
    room = np.empty(block_bytes + MAX_LINE_BYTES + 1 + padding, np.uint8)
    view, left, held = room.data, part.end - part.start, 0
    with _opened(part) as file:
        while left:
            got = file.readinto(view[held : held + min(block_bytes, left)])
            if not got:
                raise _shorter(part)
            left -= got
            end = held + got
            cut = _behind_last_line_end(room[:end])
            rest = room[cut:end].tobytes()
            if too_long(rest):
                if cut:
                    yield _closed(room, cut, padding)
                yield from line_blocks(_Slice(part, file, left), rest)
                return
            if cut:
                yield _closed(room, cut, padding)
            room[: len(rest)] = np.frombuffer(rest, np.uint8)
            held = len(rest)
        if held:
            yield _closed(room, held, padding)


def _closed(room: NDArray[np.uint8], length: int, padding: int) -> NDArray[np.uint8]:
    room[length : length + padding] = 0
    return room[: length + padding]


def _behind_last_line_end(data: NDArray[np.uint8]) -> int:
    """The place behind the last line end, 0 where there is none."""
    for end in range(len(data), 0, -_SEEK_BYTES):
        start = max(0, end - _SEEK_BYTES)
        found = np.flatnonzero(data[start:end] == _LF)
        if len(found):
            return start + int(found[-1]) + 1
    return 0


@contextmanager
def _opened(part: ByteRange) -> Iterator[FileIO]:
    """The file at the range's start. OSError within becomes a SourceError."""
    try:
        with open(part.path, "rb", buffering=0) as file:
            file.seek(part.start)
            yield file
    except OSError as error:
        raise SourceError(f"{part.path}: reading broke: {error.strerror or error}") from error


class _Slice:
    """The next so many bytes of a file."""

    fault: str | None = None

    def __init__(self, part: ByteRange, file: FileIO, length: int) -> None:
        self._part = part
        self._file = file
        self._left = length

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left)) or b""
        if self._left and not data:
            raise _shorter(self._part)
        self._left -= len(data)
        return data


def _shorter(part: ByteRange) -> SourceError:
    return SourceError(f"{part.path}: became shorter while it was read; replay it when nobody writes to it")


def _line_start(file: BinaryIO, position: int) -> int:
    """The first line start at or after position."""
    file.seek(position - 1)
    while piece := file.read(_SEEK_BYTES):
        if (found := piece.find(b"\n")) >= 0:
            return file.tell() - len(piece) + found + 1
    return file.seek(0, os.SEEK_END)
