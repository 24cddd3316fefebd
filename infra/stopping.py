"""How a process of ours is asked to stop."""

import asyncio
import signal
from collections.abc import Sequence


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; for the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


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
