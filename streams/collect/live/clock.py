"""Twitch's time from this machine's: how far are the two clocks apart? Used by claims; pure integers, ms.

A sample is (time of arrival here) - (tmi-sent-ts): the difference of the clocks plus the way. The least of medians over
the last minutes is the difference plus the shortest usual way, so that (time here) - ahead_ms is never later than what
Twitch's clock shows by more than jitter, and one wild time stamp moves nothing.
"""

import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_DIFFERENCE_MS: Final = 10_000
"""Where the clocks differ by more, nothing is claimed (design: Time)."""
_BUCKET_MS: Final = 10_000
_BUCKETS: Final = 30
_SAMPLES: Final = 101
"""Of one bucket; more tell nothing new."""


class TwitchClock:
    """Estimates how far this machine's clock is ahead."""

    def __init__(self) -> None:
        self._past: deque[int] = deque(maxlen=_BUCKETS)
        self._past_least: deque[int] = deque(maxlen=_BUCKETS)
        self._bucket: list[int] = []
        self._bucket_least_ms = MAX_DIFFERENCE_MS
        self._started_ms = 0
        self._ahead_ms: int | None = None

    def sample(self, at_ms: int, stamped_ms: int) -> None:
        """A line stamped so by Twitch arrived here at at_ms."""
        if self._bucket and not 0 <= at_ms - self._started_ms < _BUCKET_MS:
            self._past.append(self._bucket[len(self._bucket) // 2])
            self._past_least.append(self._bucket_least_ms)
            self._bucket.clear()
        difference_ms = at_ms - stamped_ms
        if not self._bucket:
            self._started_ms = at_ms
            self._bucket_least_ms = MAX_DIFFERENCE_MS
        if abs(difference_ms) <= MAX_DIFFERENCE_MS:
            self._bucket_least_ms = min(self._bucket_least_ms, difference_ms)
        if len(self._bucket) < _SAMPLES:
            insort(self._bucket, difference_ms)
            self._ahead_ms = min((self._bucket[len(self._bucket) // 2], *self._past))

    @property
    def ahead_ms(self) -> int | None:
        """This machine's clock less Twitch's; None before the first sample."""
        return self._ahead_ms

    @property
    def usable_ahead_ms(self) -> int | None:
        """The same, None also where it is too much to claim anything."""
        ahead = self._ahead_ms
        return None if ahead is None or abs(ahead) > MAX_DIFFERENCE_MS else ahead

    @property
    def usable_least_ms(self) -> int | None:
        """The least of all samples of the last minutes, at most `usable_ahead_ms`; None where that is None. Where lines
        lagged, as they may in the moments after a start, medians are too much, and a time worked out from them too
        early; one line that came in time is enough for this one. A stamp of the future makes it too little."""
        ahead = self.usable_ahead_ms
        return None if ahead is None else min(ahead, self._bucket_least_ms, *self._past_least)


def steady_clock_ms() -> Callable[[], int]:
    """This machine's time in ms UTC as it was at the call, going on steadily: no later correction of the wall clock
    makes it jump, so no claim jumps. It keeps counting while the machine sleeps."""
    kind = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    start_ns = time.time_ns() - time.clock_gettime_ns(kind)
    return lambda: (start_ns + time.clock_gettime_ns(kind)) // 1_000_000
