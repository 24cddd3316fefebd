"""How long a worker waits before it tries a lost log again: longer each time, with jitter, bounded, ended by a stop."""

import asyncio
import contextlib
import random
from typing import Final

FIRST_S: Final = 0.1
LAST_S: Final = 5.0


class Backoff:
    """Waits of 0.1 s doubling to 5 s, each between half and the whole of that, so that workers do not come in step."""

    def __init__(self, first_s: float = FIRST_S, last_s: float = LAST_S) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def reset(self) -> None:
        """It worked: the next failure waits little again."""
        self._next_s = self._first_s

    def next_s(self) -> float:
        """How long to wait now."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, self._last_s)
        return wait_s

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait, or return at once when stop is set."""
        await pause(stop, self.next_s())


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait that long, or until stop is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
