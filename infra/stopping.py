"""How a process of ours is asked to stop: SIGTERM, Ctrl-C, or a terminal that closes.

A signal that is ignored stays so: SIGHUP under nohup, and what a supervisor keeps for itself (infra.cli.child).
"""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any, Final

ASKING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stop_on_signals() -> asyncio.Event:
    """An event that the first of these signals sets; for the running loop."""
    stop = asyncio.Event()
    for number in ASKING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run_unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Run it to its end; False where it was broken off because we were asked to stop. Raises what it raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def until_one_ends(tasks: "Sequence[asyncio.Task[None]]") -> None:
    """Wait for the first of them, then cancel and await the rest; raises what that one raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise first_fault(error)


def first_fault(fault: BaseException) -> BaseException:
    """The fault itself, of several that came in groups: the command line says it in one line."""
    return first_fault(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else fault
