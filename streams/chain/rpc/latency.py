"""How fast a node answers: a moving average to choose by, and a high percentile to hedge by. Pure."""

from collections import deque
from typing import Final

WEIGHT: Final = 0.2
KEPT: Final = 64
ENOUGH: Final = 8
"""Answers from which on the percentile says something."""
UNKNOWN_S: Final = 0.25
"""Taken as the average of a node that was never asked."""


class Latency:
    """In seconds."""

    __slots__ = ("_recent", "average_s")

    def __init__(self) -> None:
        self.average_s: float | None = None
        self._recent: deque[float] = deque(maxlen=KEPT)

    def observe(self, seconds: float) -> None:
        """One answer."""
        self.average_s = seconds if self.average_s is None else self.average_s + WEIGHT * (seconds - self.average_s)
        self._recent.append(seconds)

    def at_least(self, seconds: float) -> None:
        """No answer until then, when nobody waited any longer, or a fault came. Without this a node that loses each
        race would keep the good name it had before; a quick fault makes no good name."""
        if seconds > self.expected_s():
            self.observe(seconds)

    def expected_s(self) -> float:
        return UNKNOWN_S if self.average_s is None else self.average_s

    def p95_s(self) -> float | None:
        """95 % of the recent answers were faster; None while there are too few."""
        if len(self._recent) < ENOUGH:
            return None
        ranked = sorted(self._recent)
        return ranked[min(len(ranked) - 1, len(ranked) * 95 // 100)]
