"""Inputs to chunks, in order, by one process or several. Before the fold of a replay or a load.

Several processes: a plain file goes out as small ranges (only columns come back), a packed one or a pipe as blocks of
lines. Results are taken in input order, so line numbers and derived ids are those of one process.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from streams.collect.chunk import Chunk
from streams.collect.derived_ids import DerivedIds
from streams.collect.fast_irc import FastRows, read_columns
from streams.collect.files import irc_lines
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import BlockReader, ReadOptions, read_whole_block
from streams.collect.files.lines import LineBlock
from streams.collect.files.source import STDIN, Source, open_source
from streams.collect.files.split import ByteRange, range_blocks, read_range, split_source
from streams.replay.forking import can_fork
from streams.replay.heap import keep_heap
from streams.replay.rows import RowFiles, Run

RANGE_BYTES: Final = 8 * 1024 * 1024
ROW_BLOCK_BYTES: Final = 4 * 1024 * 1024
"""Rows by columns gain from longer columns."""
IRC: Final = irc_lines.FORMAT.name
IN_FLIGHT_PER_JOB: Final = 3
"""Pieces of input handed out and not yet taken back, per process: bounds memory."""

Task = TypeVar("Task")


def chunks_of(source: str, options: ReadOptions, pool: ProcessPoolExecutor | None, jobs: int) -> Iterator[Chunk]:
    """All chunks of one input, settled, in order. Raises SourceError as open_source does."""
    if pool is None:
        yield from open_source(source, options)
        return
    ranges = split_source(source, 1 << 20, options, min_range_bytes=RANGE_BYTES)
    derived, lines_before = DerivedIds(), 0
    if ranges is not None:
        for chunks in _in_order(pool, jobs, _read_range, ((part, options) for part in ranges)):
            for chunk in chunks:
                yield derived.settle(chunk.renumbered(lines_before))
            lines_before += sum(chunk.lines for chunk in chunks)
        return
    with Source(source, options) as opened:
        read = opened.block_reader
        if read is None:
            yield from opened.chunks()
            return
        for chunk in _in_order(pool, jobs, _read_block, ((read, block) for block in opened.blocks())):
            yield derived.settle(chunk)


NO_LOGINS: Final[Mapping[str, str]] = MappingProxyType({})


class Piece(NamedTuple):
    """A piece of an input: a settled chunk and, of tagged IRC, where its ordinary lines were put by as rows, how many,
    and the last login of each of their channels."""

    chunk: Chunk
    rows: int = 0
    runs: Sequence[Run] = ()
    logins: Mapping[str, str] = NO_LOGINS


class RowReaders:
    """Processes that read for a replay: what they make of ordinary IRC lines stays in files of theirs. With one job,
    or where processes cannot be forked, this process reads."""

    def __init__(self, jobs: int, length_ms: int) -> None:
        """length_ms: of an epoch; rows lie sorted by it. Raises SpillError where no temporary file can be made."""
        self._jobs = jobs if can_fork() else 1
        self._length_ms = length_ms
        self.files = RowFiles(self._jobs)
        self._pool = None
        if self._jobs > 1:
            context = multiprocessing.get_context("fork")
            turns = context.Value("i", 0)
            self._pool = ProcessPoolExecutor(self._jobs, context, _begin, (self.files, turns))

    def pieces(self, source: str, options: ReadOptions) -> Iterator[Piece]:
        """One input in order. Raises SourceError as open_source does."""
        derived, lines_before = DerivedIds(), 0
        ranges = None
        if self._pool is not None:
            ranges = split_source(source, 1 << 20, options, min_range_bytes=RANGE_BYTES)
        if ranges is not None and ranges[0].format == IRC:
            assert self._pool is not None
            tasks = ((part, self._length_ms) for part in ranges)
            for found in _in_order(self._pool, self._jobs, _put_range, tasks):
                for piece in found:
                    yield piece._replace(chunk=derived.settle(piece.chunk.renumbered(lines_before)))
                lines_before += sum(piece.chunk.lines for piece in found)
            return
        if ranges is None:
            with Source(source, options) as opened:
                if opened.format.name == IRC:
                    for piece in self._block_pieces(opened):
                        yield piece._replace(chunk=derived.settle(piece.chunk))
                    return
        for chunk in chunks_of(source, options, self._pool, self._jobs):
            yield Piece(chunk)

    def _block_pieces(self, opened: Source) -> Iterator[Piece]:
        if self._pool is None:
            for block in opened.blocks():
                yield from _put_blocks(self.files, 0, [block], self._length_ms)
            return
        tasks = ((block, self._length_ms) for block in opened.blocks())
        yield from _in_order(self._pool, self._jobs, _put_block, tasks)

    def close(self) -> None:
        """End the processes; the files stay until the store that refers to them is closed."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_mine: tuple[RowFiles, int] | None = None
"""In a reading process: the files, and which of them is its own."""


def _begin(files: RowFiles, turns: Any) -> None:
    global _mine
    keep_heap()
    with turns.get_lock():
        _mine = (files, turns.value)
        turns.value += 1


def _put_range(task: tuple[ByteRange, int]) -> list[Piece]:
    assert _mine is not None
    part, length_ms = task
    return _put_blocks(*_mine, range_blocks(part, ROW_BLOCK_BYTES), length_ms)


def _put_block(task: tuple[LineBlock, int]) -> Piece:
    assert _mine is not None
    block, length_ms = task
    return _put_blocks(*_mine, [block], length_ms)[0]


def _put_blocks(files: RowFiles, file: int, blocks: Iterable[LineBlock], length_ms: int) -> list[Piece]:
    """A piece a block; the rows of all go with the last."""
    pieces: list[Piece] = []
    parts: list[FastRows] = []

    def read(block: LineBlock) -> Chunk:
        chunk, fast, logins = read_columns(block.data, block.first_line_number)
        parts.append(fast)
        pieces.append(Piece(chunk, 0, (), logins))
        return chunk

    for block in blocks:
        read_whole_block(read, block)
    if pieces:
        rows = sum(len(part.at) for part in parts)
        pieces[-1] = pieces[-1]._replace(rows=rows, runs=files.put(file, parts, length_ms))
    return pieces


def check_sources(sources: Iterable[str]) -> None:
    """Raises SourceError where an input does not exist, before anything is read."""
    for source in sources:
        if source != STDIN and not Path(source).exists():
            raise SourceError(f"{source}: no such file; check the path")


def make_pool(jobs: int) -> ProcessPoolExecutor | None:
    """A pool of that many reading processes; None where one process does."""
    if jobs < 2:
        return None
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("fork" if can_fork() else "spawn"))


def _read_range(task: tuple[ByteRange, ReadOptions]) -> list[Chunk]:
    return list(read_range(*task))


def _read_block(task: tuple[BlockReader, LineBlock]) -> Chunk:
    read, block = task
    return read(block)


Result = TypeVar("Result")


def _in_order(
    pool: ProcessPoolExecutor, jobs: int, work: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[Result]:
    """Results in the order of their tasks, with a bounded number of tasks out."""
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) >= IN_FLIGHT_PER_JOB * jobs:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
