"""How long a loop of the claim side waits before it tries a lost thing again: longer each time, with jitter, bounded,
ended by a stop. The same as streams.runner's, which this house may not use."""

import asyncio
import contextlib
import random
from typing import Final

FIRST_S: Final = 0.1
LAST_S: Final = 5.0


class Backoff:
    """Waits of 0.1 s doubling to 5 s, each between half and the whole of that."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def reset(self) -> None:
        """It worked: the next failure waits little again."""
        self._next_s = FIRST_S

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait, or return at once when stop is set."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, LAST_S)
        await pause(stop, wait_s)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait that long, or until stop is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
