"""When the last JOINs were sent, kept over restarts in a small file: Twitch counts those of a killed process, too.

Written before a JOIN is sent, so it is never behind. Not synced to disk: after a power cut nobody is back within the
window. Two clocks are kept, since either may be changed meanwhile: the machine's monotonic one, which goes on over
processes, and the wall's.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from streams.collect.live.metrics import CollectMetrics

logger: Final = logging.getLogger(__name__)

VERSION: Final = 1
MAX_BYTES: Final = 1 << 20


class _File(msgspec.Struct):
    v: int
    joins: list[tuple[float, float]]
    """(monotonic s, wall s) of each, oldest first."""


class JoinTimes:
    """The file. clock_s: the monotonic clock that the pacing has; wall_s: unix seconds."""

    def __init__(
        self,
        path: Path,
        metrics: CollectMetrics,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._clock_s = clock_s
        self._wall_s = wall_s

    def load(self, limit: int) -> list[float]:
        """When the newest JOINs of an earlier process were sent, at most `limit`, by the monotonic clock, oldest first.
        A file that cannot be read (counted) stands for `limit` JOINs sent just now."""
        now_s, now_wall_s = self._clock_s(), self._wall_s()
        try:
            with self._path.open("rb") as file:
                found = msgspec.json.decode(file.read(MAX_BYTES), type=_File)
            if found.v != VERSION:
                raise ValueError(f"version {found.v}")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            self._metrics.join_times_unreadable_total += 1
            logger.warning("%s cannot be read (%s): JOINs wait for a whole window", self._path, type(error).__name__)
            return [now_s] * limit
        ages_s = [_age_s(now_s - at_s, now_wall_s - wall_s) for at_s, wall_s in found.joins]
        return sorted(now_s - age_s for age_s in ages_s)[-limit:]

    def save(self, granted: Sequence[float]) -> None:
        """Keep these times of the monotonic clock, whole or not at all. Where the disk refuses, JOINs go on all the
        same, counted."""
        ahead_s = self._wall_s() - self._clock_s()
        written = self._path.with_suffix(".new")
        try:
            written.write_bytes(msgspec.json.encode(_File(VERSION, [(at_s, at_s + ahead_s) for at_s in granted])))
            written.replace(self._path)
        except OSError as error:
            self._metrics.join_times_save_errors_total += 1
            logger.warning("%s cannot be written: %s", self._path, error.strerror)


def _age_s(steady_s: float, wall_s: float) -> float:
    """How long ago by both clocks: the shorter, for a wall clock that was set forward; not below 0, for one that was
    set back. A monotonic time that is still to come is of before the machine was started, and says nothing."""
    return max(0.0, wall_s if steady_s < 0 else min(steady_s, wall_s))
