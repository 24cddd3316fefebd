"""Holes of channels: filled from history, or declared absent when nobody filled them in time. Used by the Intake."""

from collections.abc import Callable, Iterator
from typing import Final

from schemas.columns import EventColumns
from schemas.envelope import CoverageKind
from streams.collect.live.claims import Hole, Observed
from streams.collect.live.counters import IntakeCounters

MAX_WAITING: Final = 64
"""Holes of one channel that wait; beyond, the oldest are declared absent at once."""
MAX_ABSENT_MS: Final = 30 * 86_400_000
"""Of one record; a longer hole takes several."""

Send = Callable[[Observed, tuple[int, int, CoverageKind] | None, EventColumns | None], bool]


class Holes:
    """The channels that have holes."""

    def __init__(self, send: Send, counters: IntakeCounters, wait_ms: int) -> None:
        self._send = send
        self._counters = counters
        self._wait_ms = wait_ms
        self._channels: dict[str, Observed] = {}

    def look_at(self, observed: Observed) -> None:
        """Something new was said of that channel."""
        if len(observed.said.intervals) > 1:
            self._channels[observed.channel] = observed
        else:
            self._channels.pop(observed.channel, None)

    def waiting(self) -> Iterator[Hole]:
        """All of them."""
        for observed in list(self._channels.values()):
            yield from observed.holes()

    def recovered(self, observed: Observed, parts: list[EventColumns], from_ms: int, to_ms: int) -> None:
        """Events in parts of one envelope each; the interval goes with the last. Where one finds no room the hole
        stays."""
        if all(self._send(observed, None, part) for part in parts[:-1]) and self._fill(
            observed, (from_ms, to_ms, "recovered"), parts[-1] if parts else None
        ):
            self._counters.holes_recovered += 1
            self._counters.recovered_ms += to_ms - from_ms

    def absent(self, observed: Observed, from_ms: int, to_ms: int) -> None:
        """Declare it missed. Where that finds no room it stays a hole, and is tried again."""
        for start in range(from_ms, to_ms, MAX_ABSENT_MS):
            end = min(to_ms, start + MAX_ABSENT_MS)
            if not self._fill(observed, (start, end, "absent"), None):
                return
            self._counters.absent_ms += end - start
        self._counters.holes_absent += 1

    def declare_absent(self, now_ms: int) -> None:
        """Those that waited long enough, by this machine's time."""
        for observed in list(self._channels.values()):
            holes = observed.holes()
            for place, hole in enumerate(holes):
                if now_ms - hole.noticed_at_ms >= self._wait_ms or place < len(holes) - MAX_WAITING:
                    self.absent(observed, hole.from_ms, hole.to_ms)

    def _fill(self, observed: Observed, said: tuple[int, int, CoverageKind], events: EventColumns | None) -> bool:
        if not self._send(observed, said, events):
            return False
        observed.filled(said[0], said[1])
        self.look_at(observed)
        return True
