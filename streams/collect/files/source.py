"""One input, opened: its format known, its bytes as blocks, its blocks as chunks. The door of `streams.collect.files`.

`open_source` reads an input to its end in order. To share the work between processes take `Source` apart: send its
`blocks()` to its `block_reader` (picklable) elsewhere, and settle the chunks that come back in order (`DerivedIds`).
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, cast

from streams.collect.chunk import Chunk
from streams.collect.derived_ids import DerivedIds
from streams.collect.files import irc_lines, ndjson, stamped, tsv
from streams.collect.files.decompress import Unpacked
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import (
    AS_FOUND,
    MAX_SNIFFED_LINES,
    BlockReader,
    Formats,
    LineFormat,
    ReadOptions,
    read_whole_block,
)
from streams.collect.files.lines import LineBlock, line_blocks
from streams.collect.files.names import STDIN

FORMATS: Final = Formats(lines=(irc_lines.FORMAT, stamped.FORMAT, tsv.FORMAT, ndjson.FORMAT))
"""The formats of lines; `Formats(FORMATS.lines.values(), (archive,))` makes a set with whole-file ones."""
_HEAD_BYTES: Final = 64 * 1024
_MOST_HEAD_BYTES: Final = 32 * 1024 * 1024
"""Of an input that begins with lines of no known form; the rest of it may be ordinary."""


def open_source(source: str | Path, options: ReadOptions = AS_FOUND, formats: Formats = FORMATS) -> Iterator[Chunk]:
    """All chunks of one input ("-" is standard input), in order, every id settled.

    Raises SourceError where the input cannot be opened, is of no known form, or breaks while being read.
    """
    chunks = whole_file(source, options, formats)
    if chunks is not None:
        yield from chunks
        return
    with Source(source, options, formats) as opened:
        yield from opened.chunks()


def whole_file(
    source: str | Path, options: ReadOptions = AS_FOUND, formats: Formats = FORMATS
) -> Iterator[Chunk] | None:
    """The chunks of an input whose format reads files whole (the archive); None where it is one of lines."""
    if str(source) == STDIN or not formats.files:
        return None
    path = Path(source)
    form = formats.file_format(path, _first_bytes(path), options.format)
    return None if form is None else form.open(path, options)


def _first_bytes(path: Path) -> bytes:
    """Up to 16 bytes of a plain file, none of anything else: what a pipe has given is gone. Raises SourceError."""
    if path.exists() and not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise SourceError(f"{path}: cannot be opened: {error.strerror or error}") from error


class Source:
    """An open input of lines. bytes_read of total_bytes (None where unknown) tells progress, in bytes of the input."""

    def __init__(self, source: str | Path, options: ReadOptions = AS_FOUND, formats: Formats = FORMATS) -> None:
        """Raises SourceError where the input cannot be opened or is of no known form."""
        self.name = str(source)
        self._options = options
        self.total_bytes: int | None = None
        if self.name == STDIN and sys.stdin is None:
            raise SourceError(f"{self.name}: standard input is closed; name a file")
        self._raw: BinaryIO = sys.stdin.buffer if self.name == STDIN else self._open(Path(source))
        try:
            self._stream = Unpacked(self._raw)
            self._head = self._stream.read(_HEAD_BYTES)
            self.format = self._sniffed(formats)
        except OSError as error:
            self.close()
            raise SourceError(f"{self.name}: cannot be read: {error.strerror or error}") from error
        except SourceError:
            self.close()
            raise

    def _sniffed(self, formats: Formats) -> LineFormat:
        """The format, by more of the input where a long line hides the others. Raises SourceError, OSError."""
        while True:
            try:
                return formats.line_format(self.name, self._head, self._options.format)
            except SourceError:
                enough = len(self._head) >= _MOST_HEAD_BYTES or self._head.count(b"\n") >= MAX_SNIFFED_LINES
                more = b"" if enough or self._options.format is not None else self._stream.read(len(self._head))
                if not more:
                    raise
                self._head += more

    def _open(self, path: Path) -> BinaryIO:
        try:
            raw = path.open("rb", buffering=0)
            self.total_bytes = path.stat().st_size
        except OSError as error:
            raise SourceError(f"{path}: cannot be opened: {error.strerror or error}") from error
        return cast(BinaryIO, raw)

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.name != STDIN:
            self._raw.close()

    @property
    def bytes_read(self) -> int:
        return self._stream.bytes_read

    @property
    def packing(self) -> str | None:
        """ "gzip", "zstd" or None."""
        return self._stream.packing

    @property
    def block_reader(self) -> BlockReader | None:
        """A picklable pure function block -> chunk (ids unsettled), or None where blocks must be read in order."""
        make = self.format.block_reader
        return None if make is None else partial(read_whole_block, make(self.name, self._options))

    def blocks(self) -> Iterator[LineBlock]:
        """The input's blocks of lines. Raises SourceError where the device fails."""
        blocks = line_blocks(self._stream, self._head)
        number, taken = 1, 0
        while True:
            try:
                block = next(blocks, None)
            except OSError as error:
                raise SourceError(
                    f"{self.name}: reading broke near line {number}: {error.strerror or error}"
                ) from error
            if block is None:
                return
            number = block.first_line_number
            taken, before = self.bytes_read, taken
            yield replace(block, input_bytes=taken - before)

    def chunks(self) -> Iterator[Chunk]:
        """The input's chunks in order, every id settled."""
        derived = DerivedIds()
        for chunk in self.format.reader(self.name, self._options)(self.blocks()):
            yield derived.settle(chunk)
