"""Seeded logs of many channels for the integration tests and the benches: the same seed gives the same bytes.

`random_log` has everything that can happen to a log in it; `bench_log` is plain chat at full envelopes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from blake3 import blake3

from schemas.columns import EventColumns
from schemas.envelope import CoverageKind, encode, encode_reseal

T0_S: Final = 1_760_000_400
"""A full hour in October 2025."""
HOUR_MS: Final = 3_600_000

Record = tuple[bytes, bytes]
"""(key, envelope bytes) as a collector appends them."""


@dataclass
class _Channel:
    """One simulated channel and its collector."""

    random: random.Random
    number: int
    epoch_length_ms: int
    now_ms: int
    end_ms: int
    seq: int = 0
    serial: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def plain(self) -> bool:
        """Read from a file: nothing is stated about what was observed, all closes at the end."""
        return self.number % 4 == 3

    @property
    def identity(self) -> str:
        return f"twitch:id:{1000 + self.number}"

    def envelopes(self) -> Iterator[tuple[int, bytes]]:
        """(simulated time, record) until the channel's end."""
        previous: bytes | None = None
        while self.now_ms < self.end_ms:
            step = self.random.choice((5_000, 20_000, 30_000, 60_000, 240_000))
            start, self.now_ms = self.now_ms, self.now_ms + step
            chance = self.random.random()
            if (
                chance < 0.04 and not self.plain
            ):  # the collector lost its connection; somebody says later what became of it
                self.holes.append((start, self.now_ms))
                continue
            if self.holes and self.random.random() < 0.3:
                yield self.now_ms, self._fill(*self.holes.pop(0))
            record = self._record(start, chance)
            yield self.now_ms, record
            if previous is not None and self.random.random() < 0.05:
                yield self.now_ms, previous  # delivered twice, and late at that
            if self.random.random() < 0.05:
                yield self.now_ms, self._reseal()
            previous = record
        for hole in self.holes:
            yield self.now_ms, self._fill(*hole)
        if not self.plain:
            until = self.now_ms + self.epoch_length_ms + 200_000
            yield self.now_ms, self._envelope("tick", (self.now_ms, until, "live"))
        if self.plain or self.random.random() < 0.5:
            yield self.now_ms, self._envelope("end", None)

    def _record(self, start: int, chance: float) -> bytes:
        observed: tuple[int, int, CoverageKind] | None = None if self.plain else (start, self.now_ms, "live")
        if chance < 0.10 and not self.plain:
            return self._envelope("tick", observed)
        times = [self.random.randrange(start - 400, self.now_ms) for _ in range(self.random.randint(1, 30))]
        if chance < 0.20:  # late: long closed, or nearly
            times += [start - self.random.randrange(3 * self.epoch_length_ms) for _ in range(3)]
        if chance > 0.97:  # a wild time stamp
            times.append(start + 10 * 86_400_000)
        return self._envelope("events", observed, times)

    def _fill(self, start: int, end: int) -> bytes:
        if self.random.random() < 0.5:
            return self._envelope("tick", (start, end, "absent"))
        return self._envelope(
            "events", (start, end, "recovered"), [self.random.randrange(start, end) for _ in range(5)]
        )

    def _reseal(self) -> bytes:
        back = self.random.randint(0, 3) * self.epoch_length_ms
        start_s = (self.now_ms - self.now_ms % self.epoch_length_ms - back) // 1000
        login = f"channel{self.number}"
        return encode_reseal(self.identity, login, "timer", 0, start_s, self.epoch_length_ms // 1000)

    def _envelope(
        self, type_: str, observed: tuple[int, int, CoverageKind] | None, times: list[int] | None = None
    ) -> bytes:
        self.seq += 1
        return encode(
            type_,  # type: ignore[arg-type]
            self.identity,
            f"channel{self.number}",
            f"collector-{self.number % 2}",
            self.seq - 1,
            observed,
            self._columns(times) if times else None,
        )

    def _columns(self, times: list[int]) -> EventColumns:
        n = len(times)
        ids = []
        for _ in times:
            self.serial += 1
            back = self.random.randrange(50) if self.random.random() < 0.02 else 0  # an id used before
            ids.append(blake3(f"{self.number}/{self.serial - back}".encode()).digest(16))
        people = [f"viewer{self.random.randrange(60)}" for _ in range(min(n, 12))] + ["nightbot"]
        names = list(dict.fromkeys(people))
        pairs = [(f"twitch:id:{7000 + int(blake3(name.encode()).hexdigest()[:6], 16)}", name) for name in names]
        return EventColumns(
            pairs,
            np.array(times, np.int64),
            np.frombuffer(b"".join(ids), np.uint8).reshape(n, 16),
            np.array([self.random.choice((0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7)) for _ in times], np.uint8),
            np.array([self.random.randrange(len(pairs)) for _ in times], np.uint32),
            np.array([self.random.choice((0, 0, 0, 5, 100)) for _ in times], np.uint32),
        )


def random_log(
    seed: int, channels: int = 6, hours: int = 5, *, epoch_length_s: int = 3600, junk: bool = True
) -> Iterator[Record]:
    """Records of that many channels over that many epochs, interleaved: coverage with holes that are filled or
    declared absent, neighbours out of order, records delivered twice, late events, wild time stamps, reseal and end
    records, and (junk) bytes that are no envelope."""
    rng = random.Random(seed)
    length_ms = epoch_length_s * 1000
    start_ms = T0_S * 1000 - T0_S * 1000 % length_ms
    streams = []
    for number in range(channels):
        begin = start_ms + rng.randrange(length_ms)
        channel = _Channel(random.Random(rng.randrange(2**63)), number, length_ms, begin, start_ms + hours * length_ms)
        streams.append((channel.identity.encode(), channel.envelopes()))
    heads = [(next(stream), key, stream) for key, stream in streams]
    while heads:
        index = min(range(len(heads)), key=lambda at: heads[at][0][0] + rng.randrange(90_000))
        (_, value), key, stream = heads[index]
        yield key, value
        if junk and rng.random() < 0.005:
            yield key, rng.randbytes(rng.randrange(1, 40))
        following = next(stream, None)
        if following is None:
            del heads[index]
        else:
            heads[index] = (following, key, stream)


def bench_log(
    seed: int, events: int, channels: int = 50, *, per_envelope: int = 200, hours: int = 24, viewers: int = 2000
) -> Iterator[Record]:
    """Plain chat: full envelopes, each with its observed interval, every channel's hours closed by its watermark and
    its last by a tick."""
    rng = np.random.default_rng(seed)
    per_channel = max(1, events // channels // per_envelope)
    start_ms = T0_S * 1000 - T0_S * 1000 % HOUR_MS
    step_ms = hours * HOUR_MS // per_channel
    identities = [f"twitch:id:{1000 + number}" for number in range(channels)]
    names = [(f"twitch:id:{50_000 + number}", f"viewer{number}") for number in range(viewers)]
    for round_ in range(per_channel):
        begin = start_ms + round_ * step_ms
        for number, identity in enumerate(identities):
            who, pairs = np.unique(rng.zipf(1.3, per_envelope) % viewers, return_inverse=True)
            columns = EventColumns(
                [names[index] for index in who],
                np.sort(rng.integers(begin, begin + step_ms, per_envelope)),
                rng.integers(0, 256, (per_envelope, 16), dtype=np.uint8),
                rng.choice(np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 3], np.uint8), per_envelope),
                pairs.astype(np.uint32),
                np.zeros(per_envelope, np.uint32),
            )
            yield (
                identity.encode(),
                encode(
                    "events", identity, f"channel{number}", "bench", round_, (begin, begin + step_ms, "live"), columns
                ),
            )
    end = start_ms + per_channel * step_ms
    for number, identity in enumerate(identities):
        tick = encode("tick", identity, f"channel{number}", "bench", per_channel, (end, end + HOUR_MS, "live"))
        yield identity.encode(), tick
