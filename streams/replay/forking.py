"""Work of a replay shared out to forked processes: each has all that was read, as it stood at the fork."""

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from schemas.errors import TwzrdError
from streams.replay.heap import keep_heap

Result = TypeVar("Result")


class ProcessLost(TwzrdError):
    """A process of the replay ended without a result."""


def leave_interrupts() -> None:
    """In a process that works for another: Ctrl-C reaches both, and it is the other that ends them in good order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def can_fork() -> bool:
    """Whether this system forks."""
    return "fork" in multiprocessing.get_all_start_methods()


def as_pool_process() -> None:
    """At the start of a pool's process: Ctrl-C is the other's to answer, and it ends when whoever wants its results is
    gone, kill -9 included. Without that it would wait for ever for its next task."""
    leave_interrupts()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


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
    leave_interrupts()
    keep_heap()
    try:
        result: Result | TwzrdError = work()
    except TwzrdError as error:
        result = error
    with contextlib.suppress(BrokenPipeError):
        back.send(result)
    back.close()


class Turns:
    """Places 0 .. n - 1, heaviest first, each for the process that asks next: whatever else the machine does, all end
    at about the same time. Made before the processes are forked; iterate in each."""

    def __init__(self, weights: Sequence[int]) -> None:
        """weights: about how much work each place is."""
        self._order = sorted(range(len(weights)), key=lambda place: -weights[place])
        self._taken = multiprocessing.get_context("fork").Value("q", 0)

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._taken.get_lock():
                turn = self._taken.value
                self._taken.value = turn + 1
            if turn >= len(self._order):
                return
            yield self._order[turn]
