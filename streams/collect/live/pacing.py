"""How often something may be done: JOINs across the process, and connections opened.

A sliding window, not a token bucket: a bucket of 18 that refills within 12.5 s lets up to 36 through in such a time,
and Twitch counts 20 JOINs in any 10 s. The span above 10 s leaves room for what the network does to the distances.
"""

from collections import deque
from typing import Final

JOINS: Final = 18
WINDOW_S: Final = 12.5


class Pacing:
    """At most `limit` grants in any `window_s` seconds of the clock that the caller names."""

    def __init__(self, limit: int = JOINS, window_s: float = WINDOW_S) -> None:
        self.limit = limit
        self.window_s = window_s
        self._granted: deque[float] = deque(maxlen=limit)
        self._held_until_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next grant is free; 0 where one is free now."""
        free_at_s = self._held_until_s
        if len(self._granted) == self.limit:
            free_at_s = max(free_at_s, self._granted[0] + self.window_s)
        return max(0.0, free_at_s - now_s)

    def take(self, now_s: float) -> bool:
        """Take one grant. False, and nothing taken, where none is free."""
        if self.wait_s(now_s) > 0:
            return False
        self._granted.append(now_s)
        return True

    def hold(self, now_s: float) -> None:
        """Grant nothing for a whole window: the server said that it was too much already."""
        self._held_until_s = now_s + self.window_s
