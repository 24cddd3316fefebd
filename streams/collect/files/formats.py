"""The formats of files: a registry of how each is told from others and read. `source` asks it; readers enter here.

A format of lines names lines it recognises, and gives a reader of blocks; where a block can be read without knowing the
ones before it, the reader is a pure picklable function, so that processes can share the work. A format of whole files
(the archive) claims a path or its first bytes and reads it by itself.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from streams.collect.chunk import MALFORMED, Chunk
from streams.collect.files.errors import SourceError
from streams.collect.files.lines import LineBlock

MAX_SNIFFED_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What may be told instead of found out.

    format: a registered name; channel: login of the channel, for formats that do not name it; tz: IANA zone of local
    time stamps.
    """

    format: str | None = None
    channel: str | None = None
    tz: str = "UTC"


AS_FOUND: Final = ReadOptions()
"""Everything found out from the content and the name."""

BlockReader = Callable[[LineBlock], Chunk]


@dataclass(frozen=True, slots=True)
class LineFormat:
    """A format of lines. The readers get the input's name and the options and may raise SourceError.

    recognises: how strongly a line speaks for this format, 0 not at all; an ordinary line of it 10.
    block_reader: None where a line's meaning rests on lines before its block (then only `reader` will do).
    """

    name: str
    recognises: Callable[[bytes], int]
    reader: Callable[[str, ReadOptions], Callable[[Iterable[LineBlock]], Iterator[Chunk]]]
    block_reader: Callable[[str, ReadOptions], BlockReader] | None


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of whole files or folders. claims: given the path and its first bytes (none of a folder)."""

    name: str
    claims: Callable[[Path, bytes], bool]
    open: Callable[[Path, ReadOptions], Iterator[Chunk]]


def each_block(
    block_reader: Callable[[str, ReadOptions], BlockReader],
) -> Callable[[str, ReadOptions], Callable[[Iterable[LineBlock]], Iterator[Chunk]]]:
    """The reader of a format whose blocks are read one by one."""

    def reader(name: str, options: ReadOptions) -> Callable[[Iterable[LineBlock]], Iterator[Chunk]]:
        return partial(map, partial(read_whole_block, block_reader(name, options)))

    return reader


def read_whole_block(read: BlockReader, block: LineBlock) -> Chunk:
    """The chunk of a block's data with the block's own dead lines put in."""
    chunk = read(block)
    if block.input_bytes is not None:
        chunk.bytes_read = block.input_bytes
    if block.dead:
        chunk.dead.extend(block.dead)
        chunk.lines += len(block.dead)
        chunk.counts[MALFORMED] += len(block.dead)
        chunk.broken = block.broken
    return chunk


class Formats:
    """The known formats, in the order of registration."""

    def __init__(self, lines: Iterable[LineFormat] = (), files: Iterable[FileFormat] = ()) -> None:
        self.lines: dict[str, LineFormat] = {f.name: f for f in lines}
        self.files: dict[str, FileFormat] = {f.name: f for f in files}

    @property
    def names(self) -> list[str]:
        return [*self.lines, *self.files]

    def line_format(self, source: str, head: bytes, wanted: str | None) -> LineFormat:
        """The wanted format, or the one that the head's lines speak for. Raises SourceError where there is none."""
        if wanted is not None:
            try:
                return self.lines[wanted]
            except KeyError:
                raise SourceError(
                    f"{source}: {wanted!r} is no format of such an input; use one of {', '.join(self.names)}"
                ) from None
        sample = [line.rstrip(b"\r") for line in head.split(b"\n") if line.rstrip(b"\r")][:MAX_SNIFFED_LINES]
        if not sample:  # nothing to read: any reader will do
            return next(iter(self.lines.values()))
        votes = {name: sum(map(form.recognises, sample)) for name, form in self.lines.items()}
        best = max(votes, key=lambda name: votes[name])
        if not votes[best]:
            raise SourceError(
                f"{source}: none of its first {len(sample)} lines is of a known form; "
                f"name the form with --format ({', '.join(self.names)})"
            )
        return self.lines[best]

    def file_format(self, path: Path, head: bytes, wanted: str | None) -> FileFormat | None:
        """The whole-file format that was asked for or claims the path."""
        if wanted is not None:
            return self.files.get(wanted)
        return next((form for form in self.files.values() if form.claims(path, head)), None)
