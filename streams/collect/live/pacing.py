"""How often something may be done: JOINs across the process, and connections opened.

A sliding window, not a token bucket: a bucket of 18 that refills within 12.5 s lets up to 36 through in such a time,
and Twitch counts 20 JOINs in any 10 s. The span above 10 s leaves room for what the network does to the distances.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

JOINS: Final = 18
WINDOW_S: Final = 12.5


class Pacing:
    """At most `limit` grants in any `window_s` seconds of the clock that the caller names. granted: of before; keep:
    called by `settle` with the last grants, where there were new ones."""

    def __init__(
        self,
        limit: int = JOINS,
        window_s: float = WINDOW_S,
        *,
        granted: Iterable[float] = (),
        keep: Callable[[Sequence[float]], None] = lambda granted: None,
    ) -> None:
        self.limit = limit
        self.window_s = window_s
        self._granted: deque[float] = deque(granted, maxlen=limit)
        self._keep = keep
        self._changed = False

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next grant is free; 0 where one is free now."""
        if len(self._granted) < self.limit:
            return 0.0
        return max(0.0, self._granted[0] + self.window_s - now_s)

    def take(self, now_s: float) -> bool:
        """Take one grant. False, and nothing taken, where none is free."""
        if self.wait_s(now_s) > 0:
            return False
        self._granted.append(now_s)
        self._changed = True
        return True

    def hold(self, now_s: float) -> None:
        """Grant nothing for a whole window: the server said that it was too much already."""
        self._granted.extend([now_s] * self.limit)
        self._changed = True
        self.settle()

    def settle(self) -> None:
        """Keep what was granted: to be called before it is used."""
        if self._changed:
            self._changed = False
            self._keep(tuple(self._granted))
