"""Inputs to chunks, in order, by one process or several. Before the fold of a replay or a load.

Several processes: a plain file goes out as small ranges (only columns come back), a packed one or a pipe as blocks of
lines. Results are taken in input order, so line numbers and derived ids are those of one process.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from streams.collect.chunk import Chunk
from streams.collect.derived_ids import DerivedIds
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import BlockReader, ReadOptions
from streams.collect.files.lines import LineBlock
from streams.collect.files.source import STDIN, Source, open_source
from streams.collect.files.split import ByteRange, read_range, split_source

RANGE_BYTES: Final = 8 * 1024 * 1024
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


def check_sources(sources: Iterable[str]) -> None:
    """Raises SourceError where an input does not exist, before anything is read."""
    for source in sources:
        if source != STDIN and not Path(source).exists():
            raise SourceError(f"{source}: no such file; check the path")


def make_pool(jobs: int) -> ProcessPoolExecutor | None:
    """A pool of that many reading processes; None where one process does."""
    if jobs < 2:
        return None
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("fork" if _can_fork() else "spawn"))


def size_of(source: str) -> int | None:
    """An input's size in bytes, where it has one."""
    path = Path(source)
    return path.stat().st_size if path.is_file() else None


def _can_fork() -> bool:
    return "fork" in multiprocessing.get_all_start_methods()


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
