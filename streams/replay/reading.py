"""Inputs to chunks, in order, by one process or several. Before the fold of a replay or a load.

Several processes: a plain file goes out as small ranges (only columns come back), a packed one or a pipe as blocks of
lines. Results are taken in input order, so line numbers and derived ids are those of one process.
"""

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from streams.collect.chunk import Chunk, broken_off
from streams.collect.derived_ids import DerivedIds
from streams.collect.fast_irc import PAD, read_columns
from streams.collect.files import irc_lines
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import BlockReader, ReadOptions, read_whole_block
from streams.collect.files.lines import LineBlock
from streams.collect.files.source import Source
from streams.collect.files.split import ByteRange, range_arrays, read_range, split_source
from streams.replay.forking import ProcessLost, as_pool_process, can_fork
from streams.replay.heap import keep_heap
from streams.replay.rows import RowCollector, RowFiles, Run

RANGE_BYTES: Final = 4 * 1024 * 1024
"""Least size of a range."""
BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Of a range read at a time: rows by columns gain from long columns, as long as these stay in the cache."""
IRC: Final = irc_lines.FORMAT.name
IN_FLIGHT_PER_JOB: Final = 3
"""Pieces of input handed out and not yet taken back, per process: bounds memory."""

Task = TypeVar("Task")


def chunks_of(source: str, options: ReadOptions, pool: ProcessPoolExecutor | None, jobs: int) -> Iterator[Chunk]:
    """All chunks of one input, settled, in order. Raises SourceError as Source does."""
    ranges = None if pool is None else split_source(source, 1 << 20, options, min_range_bytes=RANGE_BYTES)
    if pool is not None and ranges is not None:
        yield from _of_ranges(ranges, options, pool, jobs)
        return
    with Source(source, options) as opened:
        yield from _of_opened(opened, pool, jobs)


def _of_ranges(
    ranges: Sequence[ByteRange], options: ReadOptions, pool: ProcessPoolExecutor, jobs: int
) -> Iterator[Chunk]:
    derived, lines_before = DerivedIds(), 0
    for chunks in _in_order(pool, jobs, _read_range, ((part, options) for part in ranges)):
        for chunk in chunks:
            yield derived.settle(chunk.renumbered(lines_before))
        lines_before += sum(chunk.lines for chunk in chunks)


def _of_opened(opened: Source, pool: ProcessPoolExecutor | None, jobs: int) -> Iterator[Chunk]:
    read = opened.block_reader
    if pool is None or read is None:
        yield from opened.chunks()
        return
    derived = DerivedIds()
    for chunk in _in_order(pool, jobs, _read_block, ((read, block) for block in opened.blocks())):
        yield derived.settle(chunk)


NO_LOGINS: Final[Mapping[str, str]] = MappingProxyType({})


class Piece(NamedTuple):
    """A piece of an input: a settled chunk and, of tagged IRC, the last login of each of its channels, how many events
    it has beside the chunk's, and where rows were put by meanwhile (its own or earlier ones)."""

    chunk: Chunk
    logins: Mapping[str, str] = NO_LOGINS
    rows: int = 0
    runs: Sequence[Run] = ()


class RowReaders:
    """Processes that read for a replay: what they make of ordinary IRC lines stays in files of theirs. With one job,
    or where processes cannot be forked, this process reads."""

    def __init__(self, jobs: int, length_ms: int) -> None:
        """length_ms: of an epoch; rows lie sorted by it. Raises SpillError where no temporary file can be made."""
        self._jobs = jobs if can_fork() else 1
        self.files = RowFiles(self._jobs)
        self._pool = None
        self._own = RowCollector(self.files, 0, length_ms)
        if self._jobs > 1:
            context = multiprocessing.get_context("fork")
            begin = (self.files, length_ms, context.Value("i", 0), context.Barrier(self._jobs))
            self._pool = ProcessPoolExecutor(self._jobs, context, _begin, begin)

    def pieces(self, source: str, options: ReadOptions) -> Iterator[Piece]:
        """One input in order. It is opened once where it is no plain file: what a pipe has given is gone. Raises
        SourceError as Source does."""
        pool, ranges = self._pool, None
        if pool is not None:
            ranges = split_source(source, 1 << 20, options, min_range_bytes=RANGE_BYTES)
        if pool is not None and ranges is not None:
            if ranges[0].format == IRC:
                yield from self._range_pieces(pool, ranges)
            else:
                yield from map(Piece, _of_ranges(ranges, options, pool, self._jobs))
            return
        with Source(source, options) as opened:
            if opened.format.name != IRC:
                yield from map(Piece, _of_opened(opened, pool, self._jobs))
                return
            derived = DerivedIds()
            for piece in self._block_pieces(opened):
                yield piece._replace(chunk=derived.settle(piece.chunk))

    def _range_pieces(self, pool: ProcessPoolExecutor, ranges: Sequence[ByteRange]) -> Iterator[Piece]:
        derived, lines_before = DerivedIds(), 0
        for found in _in_order(pool, self._jobs, _put_range, ranges):
            for piece in found:
                yield piece._replace(chunk=derived.settle(piece.chunk.renumbered(lines_before)))
            lines_before += sum(piece.chunk.lines for piece in found)

    def _block_pieces(self, opened: Source) -> Iterator[Piece]:
        if self._pool is None:
            yield from (_put_block_of(self._own, block) for block in opened.blocks())
        else:
            yield from _in_order(self._pool, self._jobs, _put_block, opened.blocks())

    def rest(self) -> list[Run]:
        """Where the last rows were put by; to be asked for once, when every input was read. Raises SpillError or
        ProcessLost."""
        if self._pool is None:
            return self._own.rest()
        with _told():
            waiting = [self._pool.submit(_put_rest) for _ in range(self._jobs)]
            return [run for each in waiting for run in each.result()]

    def close(self) -> None:
        """End the processes; the files stay until the store that refers to them is closed."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_mine: RowCollector | None = None
"""In a reading process: its rows."""
_all_at_rest: Any = None
"""In a reading process: the barrier at which each waits for all others, so that each puts by its own rest."""


def _begin(files: RowFiles, length_ms: int, turns: Any, barrier: Any) -> None:
    global _mine, _all_at_rest
    as_pool_process()
    keep_heap()
    gc.freeze()
    _all_at_rest = barrier
    with turns.get_lock():
        _mine = RowCollector(files, turns.value, length_ms)
        turns.value += 1


def _put_rest() -> list[Run]:
    assert _mine is not None
    _all_at_rest.wait()
    return _mine.rest()


def _put_range(part: ByteRange) -> list[Piece]:
    """The pieces of one range, numbered from its start."""
    assert _mine is not None
    pieces: list[Piece] = []
    lines = 0
    # lines: of the arrays; blocks of lines come behind those and count from there.
    try:
        for block in range_arrays(part, BLOCK_BYTES, PAD):
            if isinstance(block, LineBlock):
                piece = _put_block_of(_mine, block)
                pieces.append(piece._replace(chunk=piece.chunk.renumbered(lines)))
            else:
                chunk, rows, logins = read_columns(block, lines + 1)
                pieces.append(Piece(chunk, logins, *_mine.add(rows, chunk)))
                lines += chunk.lines
    except SourceError as error:  # the ranges behind this one are read all the same, by whoever took them
        pieces.append(Piece(broken_off(1 + sum(piece.chunk.lines for piece in pieces), str(error))))
    return pieces


def _put_block(block: LineBlock) -> Piece:
    assert _mine is not None
    return _put_block_of(_mine, block)


def _put_block_of(collector: RowCollector, block: LineBlock) -> Piece:
    piece: list[Piece] = []

    def read(block: LineBlock) -> Chunk:
        chunk, rows, logins = read_columns(block.data, block.first_line_number)
        piece.append(Piece(chunk, logins, *collector.add(rows, chunk)))
        return chunk

    read_whole_block(read, block)
    return piece[0]


def make_pool(jobs: int) -> ProcessPoolExecutor | None:
    """A pool of that many reading processes; None where one process does."""
    if jobs < 2:
        return None
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("fork" if can_fork() else "spawn"), as_pool_process)


def _read_range(task: tuple[ByteRange, ReadOptions]) -> list[Chunk]:
    chunks: list[Chunk] = []
    try:
        chunks.extend(read_range(*task))
    except SourceError as error:
        chunks.append(broken_off(1 + sum(chunk.lines for chunk in chunks), str(error)))
    return chunks


def _read_block(task: tuple[BlockReader, LineBlock]) -> Chunk:
    read, block = task
    return read(block)


Result = TypeVar("Result")


def _in_order(
    pool: ProcessPoolExecutor, jobs: int, work: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[Result]:
    """Results in the order of their tasks, with a bounded number of tasks out."""
    waiting: deque[Future[Result]] = deque()
    with _told():
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= IN_FLIGHT_PER_JOB * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _told() -> Iterator[None]:
    """A process that has gone is an error of ours."""
    try:
        yield
    except BrokenProcessPool as error:
        raise ProcessLost("a reading process ended; look for a lack of memory and run it again") from error
