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


def shares(weights: Sequence[int], count: int) -> list[list[int]]:
    """Up to count shares of about equal weight, none empty: places in weights, each once, rising within a share."""
    out: list[list[int]] = [[] for _ in range(min(count, len(weights)))]
    held = [0] * len(out)
    for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
        lightest = held.index(min(held))
        out[lightest].append(place)
        held[lightest] += weights[place]
    return [sorted(share) for share in out if share]
