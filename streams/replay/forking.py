"""Work of a replay shared out to forked processes: each has all that was read, as it stood at the fork."""

import contextlib
import gc
import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

from schemas.errors import TwzrdError
from streams.replay.heap import keep_heap

Result = TypeVar("Result")


class ProcessLost(TwzrdError):
    """A process of the replay ended without a result."""


def can_fork() -> bool:
    """Whether this system forks."""
    return "fork" in multiprocessing.get_all_start_methods()


def in_processes(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """Do each in a process of its own, all at once; results in order. Raises the first TwzrdError of them, or
    ProcessLost."""
    context = multiprocessing.get_context("fork")
    running = []
    for work in works:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_do, args=(work, there), daemon=True)
        process.start()
        there.close()
        running.append((process, here))
    try:
        results = []
        for process, here in running:
            try:
                result: Result | TwzrdError = here.recv()
            except EOFError:
                process.join()
                raise ProcessLost(
                    f"a sealing process ended with code {process.exitcode}; look for a lack of memory and replay again"
                ) from None
            if isinstance(result, TwzrdError):
                raise result
            results.append(result)
        return results
    finally:
        for process, here in running:
            here.close()
            if process.is_alive():
                process.join(1.0)
                process.terminate()
            process.join()


def _do(work: Callable[[], Result], back: Connection) -> None:
    # What lives at the fork is not collected, so its pages stay shared; the rest goes with the process.
    gc.disable()
    keep_heap()
    try:
        result: Result | TwzrdError = work()
    except TwzrdError as error:
        result = error
    with contextlib.suppress(BrokenPipeError):
        back.send(result)
    back.close()


def shares(weights: Sequence[int], count: int) -> list[tuple[int, int]]:
    """[start, end) of up to count runs of about equal weight, in order, none empty."""
    out: list[tuple[int, int]] = []
    total, start, held = sum(weights), 0, 0
    for index, weight in enumerate(weights):
        held += weight
        if held * count >= total * (len(out) + 1) or index == len(weights) - 1:
            out.append((start, index + 1))
            start = index + 1
    return out
