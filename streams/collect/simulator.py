"""Simulated chat: a seeded, deterministic stand-in for a collector; its envelopes go onto the log as a collector's.

Shapes: channels of very different size, bursts, out-of-order neighbours, doubles after a reconnect, subs, gifts,
cheers, raids, bots, one hole in observation that is declared absent, silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.columns import GIFT, MESSAGE, RAID, RESUB, SUB, EventColumns
from schemas.envelope import CoverageKind, encode
from schemas.identity import ID_PREFIX
from streams.collect.cutting import window

STEP_MS: Final = 10_000
"""Simulated time per envelope of a channel; shorter where more than 200 events fall into it."""
HOLE_MS: Final = 3 * 60_000
DISORDER_MS: Final = 400
"""Neighbours come out of order by up to this, as in real captures."""
_NAMES: Final = ("ember", "pixel", "nova", "quill", "raven", "sable", "tidal", "umbra", "vivid", "willow")
_VIEWERS: Final = 20_000
_KINDS: Final = (MESSAGE, SUB, RESUB, GIFT, RAID)
_KIND_SHARES: Final = (0.962, 0.015, 0.01, 0.012, 0.001)
_BOTS: Final = ("nightbot", "streamelements")


class Simulated(NamedTuple):
    """One envelope: its channel's identity as key."""

    key: bytes
    value: bytes
    events: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """channels: how many; the first is the busiest. rate: events a second of it; others follow 1/n."""

    seed: int
    channels: int = 6
    rate_per_s: float = 12.0

    def channel(self, index: int) -> tuple[str, str]:
        """(identity, login) of a channel."""
        name = _NAMES[index % len(_NAMES)]
        return f"{ID_PREFIX}{900_001 + index}", name if index < len(_NAMES) else f"{name}{index // len(_NAMES) + 1}"

    def run(self, start_ms: int, end_ms: int) -> Iterator[Simulated]:
        """Envelopes of all channels for [start_ms, end_ms), time step by time step; the same for the same arguments."""
        actors = [_Channel(self, index, start_ms) for index in range(self.channels)]
        for now_ms in range(start_ms, end_ms, STEP_MS):
            for actor in actors:
                yield from actor.step(now_ms, min(now_ms + STEP_MS, end_ms))


class _Channel:
    """One channel's viewers and where its collector stands."""

    def __init__(self, simulation: Simulation, index: int, start_ms: int) -> None:
        self._identity, self._login = simulation.channel(index)
        self._random = np.random.default_rng([simulation.seed, index, start_ms // 1000])
        self._rate_per_ms = simulation.rate_per_s / (index + 1) / 1000
        self._source = f"simulator:{simulation.seed}:{start_ms}"
        self._seq = 0
        self._burst = 1.0
        crowd = max(30, int(1200 / (index + 1)))
        ids = np.unique(self._random.integers(0, _VIEWERS, crowd))
        self._viewers = [(f"{ID_PREFIX}{10_000_000 + number}", f"viewer_{number:05d}") for number in ids.tolist()]
        self._viewers += [(f"{ID_PREFIX}{500 + n}", login) for n, login in enumerate(_BOTS)]
        weights = 1 / np.arange(1, len(self._viewers) + 1) ** 0.9
        self._share = weights / weights.sum()
        # The third channel's collector is away for three minutes of every simulation.
        self._hole_ms = (start_ms + 20 * 60_000, start_ms + 20 * 60_000 + HOLE_MS) if index == 2 else (0, 0)

    def step(self, from_ms: int, to_ms: int) -> Iterator[Simulated]:
        """What the collector says of [from_ms, to_ms)."""
        events = self._events(from_ms, to_ms)
        if self._hole_ms[0] <= from_ms < self._hole_ms[1]:
            if to_ms >= self._hole_ms[1]:
                yield self._envelope(None, (self._hole_ms[0], self._hole_ms[1], "absent"))
            return
        cuts = list(range(0, len(events), 200)) or [0]
        for start in cuts:
            part = window(events, start, start + 200) if len(events) else None
            observed: tuple[int, int, CoverageKind] | None = (from_ms, to_ms, "live") if start == cuts[-1] else None
            yield self._envelope(part, observed)
            if part is not None and self._random.random() < 0.01:
                yield self._envelope(part, observed)  # a reconnect brings the last lines again

    def _envelope(self, events: EventColumns | None, observed: tuple[int, int, CoverageKind] | None) -> Simulated:
        kind = "tick" if events is None else "events"
        value = encode(kind, self._identity, self._login, self._source, self._seq, observed, events)  # type: ignore[arg-type]
        self._seq += 1
        return Simulated(self._identity.encode(), value, 0 if events is None else len(events))

    def _events(self, from_ms: int, to_ms: int) -> EventColumns:
        random = self._random
        if random.random() < 0.05:
            self._burst = random.choice([0.0, 0.5, 1.0, 1.0, 4.0])
        n = int(random.poisson(self._rate_per_ms * (to_ms - from_ms) * self._burst))
        at = np.sort(random.integers(from_ms, to_ms, n)) - random.integers(0, DISORDER_MS, n)
        kind = random.choice([MESSAGE, SUB, RESUB, GIFT, RAID], n, p=[0.962, 0.015, 0.01, 0.012, 0.001]).astype(
            np.uint8
        )
        cheers = (kind == MESSAGE) & (random.random(n) < 0.02)
        amount = np.zeros(n, np.uint32)
        amount[cheers] = random.choice([1, 100, 500, 1000], int(cheers.sum()))
        amount[kind == RAID] = random.integers(2, 500, int((kind == RAID).sum()))
        who = random.choice(len(self._viewers), n, p=self._share).astype(np.uint32)
        ids: NDArray[np.uint8] = random.integers(0, 256, (n, 16), dtype=np.uint8)
        return EventColumns(self._viewers, at, ids, kind, who, amount)
