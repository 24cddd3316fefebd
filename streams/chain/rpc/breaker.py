"""A circuit breaker for one node. Pure; the caller says what time it is.

    closed ── failures in a row ──> open ── its time is up ──> half-open ── trial succeeds ──> closed
                                     ▲                             │
                                     └── trial fails, time doubles ┘

A node that flaps, which closes and opens again within steady_s, goes on doubling: its next time is not the first one.
"""

import math
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Breaker:
    """failures: in a row, until it opens. Open for first_s, doubled each time up to last_s, less up to a quarter by
    chance (chance: numbers of [0, 1)), so that nodes and processes do not come in step."""

    def __init__(
        self,
        chance: Callable[[], float],
        *,
        failures: int = 3,
        first_s: float = 1.0,
        last_s: float = 60.0,
        steady_s: float = 60.0,
    ) -> None:
        self._chance, self._failures = chance, failures
        self._first_s, self._last_s, self._steady_s = first_s, last_s, steady_s
        self._next_s = first_s
        self._in_a_row = 0
        self._until_s: float | None = None
        self._trial = False
        self._closed_at_s = -math.inf
        self._era = 0
        self.opened_total = 0

    def state(self, now_s: float) -> State:
        if self._until_s is None:
            return State.CLOSED
        return State.OPEN if now_s < self._until_s else State.HALF_OPEN

    def ready_in_s(self, now_s: float) -> float:
        """Seconds until begin may let one through; infinite while a trial is under way."""
        if self._until_s is None:
            return 0.0
        return math.inf if self._trial else max(0.0, self._until_s - now_s)

    def begin(self, now_s: float) -> int | None:
        """A permit for one request, to be given back to succeeded, failed or abandoned; None where it may not go."""
        if self.ready_in_s(now_s) > 0:
            return None
        self._trial = self._until_s is not None
        return self._era

    def succeeded(self, permit: int, now_s: float) -> None:
        if permit != self._era:
            return  # begun before the breaker opened or closed: it says nothing of now
        self._in_a_row = 0
        if self._until_s is not None:
            self._until_s, self._trial, self._closed_at_s = None, False, now_s
            self._era += 1

    def failed(self, permit: int, now_s: float) -> None:
        if permit != self._era:
            return
        self._in_a_row += 1
        if self._until_s is not None or self._in_a_row >= self._failures:
            self._open(now_s)

    def abandoned(self, permit: int) -> None:
        """The request ended without saying anything of the node."""
        if permit == self._era:
            self._trial = False

    def _open(self, now_s: float) -> None:
        if self._until_s is None and now_s - self._closed_at_s >= self._steady_s:
            self._next_s = self._first_s
        self._until_s = now_s + self._next_s * (1 - self._chance() / 4)
        self._next_s = min(2 * self._next_s, self._last_s)
        self._trial, self._in_a_row = False, 0
        self._era += 1
        self.opened_total += 1
