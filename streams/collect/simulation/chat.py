"""What happens in simulated chat, as columns: the core that every rendering shares. Bytes come from `lines`.

Shapes: channels of very different size (shares 1, 1/2, 1/3 ...), bursts, silence, raids with their crowd, gift bombs,
subs, cheers, bots, bans and deletions, shared chat, out-of-order neighbours, the last lines again after a reconnect.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.identity import ID_PREFIX
from streams.collect.simulation import people
from streams.collect.simulation.dice import U64, Dice, Numbers
from streams.collect.simulation.phrases import BOT_PHRASES, COUNT

MESSAGE, ACTION, REPLY, CHEER, SUB, RESUB, GIFT, GIFT_BOMB, RAID, ANNOUNCEMENT, MILESTONE = range(11)
BAN, DELETION, ROOM_CLEAR, COPY = range(11, 15)
"""Kinds of lines, in column `kind`."""
WITHOUT_ID: Final = (BAN, DELETION, ROOM_CLEAR)
MAX_CHANNELS: Final = 10_000
MAX_RATE_PER_S: Final = 1_000_000
DISORDER_MS: Final = 403
"""Neighbours come out of order by up to this, as in real captures; one line in eight is late."""
_STEP_LINES: Final = 8_000
_STEPS_MS: Final = (10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20)
_SHARES: Final[Numbers] = np.cumsum(  # of a million lines
    [943_000, 4_000, 20_000, 12_000, 5_000, 7_000, 3_000, 0, 0, 500, 1_500, 2_000, 1_950, 50, 0]
)
_MOODS_PERMILLE: Final[Numbers] = np.array([0, 300, 1000, 1000, 1000, 1000, 2700])
_MOOD_MS: Final = 30_000
_RAID_MS, _RAID_FACTOR = 30_000, 3
_RAIDS_PPM, _BOMBS_PPM, _RECONNECTS_PPM = 5_000, 8_000, 3_000
"""Chances a channel in 10 s."""
_BOMBS: Final = (5, 5, 10, 10, 20, 50, 100)
_CHEERS: Final[Numbers] = np.array([1, 10, 100, 100, 500, 1000, 25_000])
_TIMEOUTS_S: Final[Numbers] = np.array([1, 10, 600, 600, 86_400, 0])
_BOT_EVERY_MS: Final = 300_000
_SHARED_MS: Final = 600_000
_CROWD: Final[Numbers] = np.cumsum(2**16 // (np.arange(8_000) + 2))
"""Ascending sums of how much the viewers of a channel say, the most talkative first."""


@dataclass(frozen=True, slots=True, eq=False)
class ChatStep:
    """n lines of all channels, in order of arrival.

    at: tmi-sent-ts, ms; arrival: when Twitch sends it, ms, ascending, at most DISORDER_MS after at (later only for
    lines that come again); channel: its number; kind: see above; who: person's number; amount: bits, viewers of a
    raid, months of a sub, subs of a bomb, seconds of a ban (0: for good); text: phrase's number; other: recipient of
    a gift; ids: (n, 16) u8, of a deletion the deleted message's.
    """

    at: Numbers
    arrival: Numbers
    channel: Numbers
    kind: Numbers
    who: Numbers
    amount: Numbers
    text: Numbers
    other: Numbers
    ids: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "ChatStep":
        """The chosen rows."""
        return ChatStep(*(getattr(self, f.name)[rows] for f in fields(self)))


def _joined(parts: list[ChatStep]) -> ChatStep:
    return ChatStep(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(ChatStep)))


@dataclass(frozen=True, slots=True)
class Simulation:
    """channels: how many; the first is the busiest, others get 1/n of it. rate_per_s: lines a second of all together,
    on the average; the same seed, channels, rate and start give the same chat on every machine."""

    seed: int
    channels: int = 6
    rate_per_s: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"channels is {self.channels}; it must be 1..{MAX_CHANNELS}")
        if not 0.001 <= self.rate_per_s <= MAX_RATE_PER_S:
            raise ValueError(f"rate is {self.rate_per_s} lines a second; it must be 0.001..{MAX_RATE_PER_S}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be 0..2^63 - 1")

    def channel(self, index: int) -> tuple[str, str]:
        """(identity, login) of a channel."""
        return f"{ID_PREFIX}{people.room_id(index)}", people.channel_login(index)

    @property
    def step_ms(self) -> int:
        """Simulated time of one step: a bounded number of lines."""
        return next((ms for ms in _STEPS_MS if ms * self.rate_per_s <= _STEP_LINES * 1000), _STEPS_MS[-1])

    def run(self, start_ms: int, end_ms: int) -> Iterator[ChatStep]:
        """Chat of [start_ms, end_ms), step by step of step_ms (the last may be shorter)."""
        chat = _Chat(self, start_ms)
        for from_ms in range(start_ms, end_ms, self.step_ms):
            yield chat.step(from_ms, min(from_ms + self.step_ms, end_ms))


class _Chat:
    """Where every channel stands."""

    def __init__(self, simulation: Simulation, start_ms: int) -> None:
        self._dice = Dice(simulation.seed, 2, start_ms)
        self._start_ms = start_ms
        numbers = np.arange(simulation.channels)
        weights = 2**20 // (numbers + 1)
        # Micro-lines a second of each channel.
        total = round(simulation.rate_per_s * 1_000_000)
        self._rate = np.array([total * int(weight) // int(weights.sum()) for weight in weights], np.int64)
        self._crowd: Numbers = np.clip(1_500 * weights // 2**20, 30, len(_CROWD))
        self._talk: U64 = _CROWD[self._crowd - 1].astype(np.uint64)
        self._numbers: Numbers = numbers
        self._mood: Numbers = np.full(len(numbers), 1000)
        self._raided_until: Numbers = np.zeros(len(numbers), np.int64)
        self._guests: Numbers = numbers[numbers % 4 == 3]

    def step(self, from_ms: int, to_ms: int) -> ChatStep:
        """Lines that arrive in [from_ms, to_ms)."""
        parts = [self._ordinary(from_ms, to_ms)]
        parts += [part for part in (self._happenings(from_ms, to_ms),) if part is not None]
        step = _joined(parts)
        copies = self._copies(step, from_ms)
        step = _joined([step, copies, self._again(step, from_ms, to_ms)])
        return step.take(np.argsort(step.arrival, kind="stable"))

    def _ordinary(self, from_ms: int, to_ms: int) -> ChatStep:
        dice, length, numbers = self._dice, to_ms - from_ms, self._numbers
        changed = dice.below(len(numbers), _MOOD_MS) < length
        self._mood = np.where(changed, _MOODS_PERMILLE[dice.below(len(numbers), len(_MOODS_PERMILLE))], self._mood)
        raided = self._raided_until > from_ms
        expected = self._rate * length // 1000 * self._mood // 1000 * np.where(raided, _RAID_FACTOR, 1)
        # 16 throws a channel and step: nearly Poisson for the small ones, without floating point.
        whole, part = expected // 16_000_000, expected % 16_000_000 // 16
        throws = dice.below(16 * len(numbers), 1_000_000).reshape(-1, 16)
        counts = 16 * whole + (throws < part[:, None]).sum(axis=1)
        channel = np.repeat(numbers, counts)
        n = len(channel)
        kind = dice.which(n, _SHARES)
        # A raid brings people who say little otherwise.
        bound = np.where(raided, self._crowd.astype(np.uint64), self._talk)[channel]
        rank = dice.below(n, bound)
        rank = np.where(raided[channel], rank, np.searchsorted(_CROWD, rank, "right"))
        amount = np.zeros(n, np.int64)
        for which, values in ((CHEER, _CHEERS), (BAN, _TIMEOUTS_S), (RESUB, np.arange(2, 60)), (SUB, np.ones(1))):
            rows = np.flatnonzero(kind == which)
            amount[rows] = values[dice.below(len(rows), len(values))]
        return self._lines(
            from_ms + dice.below(n, length),
            channel,
            kind,
            (rank * 7919 + channel * 104_729) % people.POPULATION,
            amount,
            dice.below(n, COUNT - len(BOT_PHRASES)),
            dice.below(n, people.POPULATION),
        )

    def _lines(self, arrival: Any, channel: Any, kind: Any, who: Any, amount: Any, text: Any, other: Any) -> ChatStep:
        """Rows with new ids, some of them late."""
        n = len(arrival)
        arrival = np.asarray(arrival, np.int64)
        late = np.where(self._dice.below(n, 8) == 0, self._dice.below(n, DISORDER_MS) + 1, 0)
        at = np.maximum(arrival - late, self._start_ms)
        return ChatStep(
            at,
            arrival,
            np.asarray(channel, np.int64),
            np.asarray(kind, np.int64),
            np.asarray(who, np.int64),
            np.asarray(amount, np.int64),
            np.asarray(text, np.int64),
            np.asarray(other, np.int64),
            self._dice.uuids(n),
        )

    def _happenings(self, from_ms: int, to_ms: int) -> ChatStep | None:
        """What comes in one piece: raids, gift bombs, timers of bots."""
        dice, length = self._dice, to_ms - from_ms
        rows: list[tuple[int, ...]] = []
        for channel in self._struck(_RAIDS_PPM, length).tolist():
            self._raided_until[channel] = from_ms + _RAID_MS
            rows.append((from_ms, channel, RAID, dice.one(people.POPULATION), 2 + dice.one(2000), 0, 0))
        for channel in self._struck(_BOMBS_PPM, length).tolist():
            # Big channels get more of them than small ones.
            if dice.one(channel + 1) == 0:
                rows += self._bomb(channel, from_ms, length)
        spoke = (from_ms + 7_001 * self._numbers) // _BOT_EVERY_MS != (to_ms + 7_001 * self._numbers) // _BOT_EVERY_MS
        for channel in self._numbers[spoke].tolist():
            bot = dice.one(len(people.BOTS))
            rows.append((to_ms - 1, channel, MESSAGE, people.POPULATION + bot, 0, COUNT - len(BOT_PHRASES) + bot, 0))
        return self._lines(*zip(*rows, strict=True)) if rows else None

    def _struck(self, ppm: int, length_ms: int) -> Numbers:
        """The channels that are struck in length_ms by what strikes ppm of a million in 10 s."""
        throws = self._dice.below(len(self._numbers), 2_000_000_000)
        return self._numbers[throws < ppm * length_ms // 5]

    def _bomb(self, channel: int, from_ms: int, length: int) -> list[tuple[int, ...]]:
        count = _BOMBS[self._dice.one(len(_BOMBS))]
        giver = people.ANONYMOUS if self._dice.one(5) == 0 else self._dice.one(people.POPULATION)
        rows: list[tuple[int, ...]] = [(from_ms, channel, GIFT_BOMB, giver, count, 0, 0)]
        for number, recipient in enumerate(self._dice.below(count, people.POPULATION).tolist(), 1):
            rows.append((from_ms + min(20 * number, length - 1), channel, GIFT, giver, 0, 0, recipient))
        return rows

    def _copies(self, step: ChatStep, from_ms: int) -> ChatStep:
        """Shared chat: of every fourth channel's lines those of the one before it, a quarter of the time."""
        on = self._guests[(from_ms // _SHARED_MS + self._guests // 4) % 4 == 0]
        copied = step.take(np.isin(step.channel + 1, on) & (step.kind <= CHEER))
        ids = copied.ids.copy()
        ids[:, 0] ^= 0x55  # a copy has an id of its own; `lines.original_ids` finds the original's again
        n = len(copied)
        return ChatStep(
            copied.at,
            copied.arrival,
            copied.channel + 1,
            np.full(n, COPY),
            copied.who,
            np.zeros(n, np.int64),
            copied.text,
            np.zeros(n, np.int64),
            ids,
        )

    def _again(self, step: ChatStep, from_ms: int, to_ms: int) -> ChatStep:
        """After a reconnect the last lines come again. What has no id does not: nobody could know it again."""
        back = self._struck(_RECONNECTS_PPM, to_ms - from_ms)
        again = step.take(
            np.isin(step.channel, back) & (step.arrival >= to_ms - 1_500) & ~np.isin(step.kind, WITHOUT_ID)
        )
        return ChatStep(again.at, np.full(len(again), to_ms - 1), *(getattr(again, f.name) for f in fields(again)[2:]))
