"""The closer: says `absent` for channels that nobody observes any more, so that their hours seal.

In: records of `chat.events`, from where the workers still need them. Out: for a channel without a record of any
collector for silent_ms, an absent tick that just carries the frontier over the end of its open hour, and after
end_after_ms an `end`, since an open hour holds the workers' low-water mark. For a channel that is watched, an absent
tick over a hole that no collector declared or filled for hole_ms: the one who begins after another has gone, or who
lost what it knew, knows nothing of it. It never claims live; of its intervals live and recovered ones of a collector
win anyway.

Time is the log's own: the time stamps of records, carried on by a steady clock since the newest was read, so never
ahead of the log. Nothing is said of the last margin_ms, which a collector that just began may still claim. Silence, and
how long a hole is known, count from when the log was there again: what was not said while it was away waits in spools.
"""

import asyncio
import logging
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas import envelope as envelopes
from schemas.columns import MAX_AT_MS
from schemas.errors import SchemaError
from streams.log.port import CHAT_EVENTS, Append, Log, LogError, LogRecord

logger: Final = logging.getLogger(__name__)

SOURCE_PREFIX: Final = "closer/"
"""Sources that begin so are closers: what they say is no sign of a living collector."""
MAX_CHANNELS: Final = 100_000
"""Channels of one partition that are watched; beyond it the one heard of longest ago is forgotten, and counted."""
MAX_AHEAD: Final = 64
"""Stretches beyond a channel's first hole that are remembered; of more the last is forgotten."""
READ_RECORDS: Final = 1_000
SWEEP_EVERY_MS: Final = 10_000
WAIT_MS: Final = 1_000
RETRY_S: Final = 2.0
LATE_MS: Final = 10_000
"""A log that took longer to answer was away: collectors, too, do not wait longer (outbound.ANSWER_S)."""


@dataclass(frozen=True, slots=True)
class CloserRules:
    """When a channel counts as left. All in ms; epoch_length_ms and grace_ms are the policy's."""

    epoch_length_ms: int = 3_600_000
    grace_ms: int = 120_000
    silent_ms: int = 600_000
    margin_ms: int = 120_000
    end_after_ms: int = 6 * 3_600_000
    hole_ms: int = 900_000
    """How long a hole may be known before it is said absent: a collector fills or declares its own in two minutes, and
    sends a spool in the order of its channels' records."""

    def __post_init__(self) -> None:
        if not 0 < self.margin_ms <= self.silent_ms <= self.end_after_ms:
            raise ValueError(
                f"closer: margin {self.margin_ms}, silence {self.silent_ms} and end {self.end_after_ms} ms must rise"
            )
        if self.hole_ms < self.silent_ms:
            raise ValueError(f"closer: a hole waits {self.hole_ms} ms, silence {self.silent_ms} ms; holes wait longer")


@dataclass(slots=True)
class CloserCounters:
    """What the closer said and met."""

    ticks_total: int = 0
    ends_total: int = 0
    holes_total: int = 0
    """Holes of channels that are watched, which no collector declared."""
    undecodable_total: int = 0
    forgotten_total: int = 0
    """Channels, at MAX_CHANNELS."""
    log_lost_total: int = 0


class _Stretch(NamedTuple):
    """Observed beyond a hole. time_ms: the log's, when it was first heard of."""

    start_ms: int
    end_ms: int
    time_ms: int


@dataclass(slots=True)
class _Watched:
    login: str
    heard_ms: int
    frontier_ms: int
    ahead: list[_Stretch] = field(default_factory=list)
    """Disjoint and rising; between two is a hole."""

    def observe(self, start_ms: int, end_ms: int, time_ms: int) -> None:
        """As the shard moves its frontier: the first ms that no interval so far covers."""
        first = bisect_left(self.ahead, start_ms, key=lambda one: one.end_ms)
        last = bisect_right(self.ahead, end_ms, key=lambda one: one.start_ms)
        touching = [_Stretch(start_ms, end_ms, time_ms), *self.ahead[first:last]]
        starts, ends, times = zip(*touching, strict=True)
        self.ahead[first:last] = [_Stretch(min(starts), max(ends), min(times))]
        while self.ahead and self.ahead[0].start_ms <= self.frontier_ms:
            self.frontier_ms = max(self.frontier_ms, self.ahead.pop(0).end_ms)
        if len(self.ahead) > MAX_AHEAD:
            # Only makes us say absent where somebody observed, which then counts for nothing.
            del self.ahead[-1]

    def holes(self, known_ms: int) -> Iterator[tuple[int, int]]:
        """Those that the log showed by known_ms already, rising."""
        from_ms = self.frontier_ms
        for one in self.ahead:
            if one.time_ms <= known_ms:
                yield from_ms, one.start_ms
            from_ms = one.end_ms


class PartitionWatch:
    """What one partition's records say of who is left. Pure: time comes in as steady_ms, a clock that never jumps."""

    def __init__(self, partition: int, source: str, rules: CloserRules, counters: CloserCounters) -> None:
        """source: begins with SOURCE_PREFIX and is this process's alone."""
        self._partition = partition
        self._source = source
        self._rules = rules
        self._counters = counters
        self._watched: dict[str, _Watched] = {}
        self._seq: dict[str, int] = {}
        self._log_ahead_ms: int | None = None
        """At least how far the log's clock is ahead of the steady one."""
        self._there_since_ms: int | None = 0
        """Since when the log is there, by its own clock; None from when it was away until all is read."""

    def feed(self, record: LogRecord, steady_ms: int) -> None:
        """Take in one record as it was read."""
        ahead_ms = record.time_ms - steady_ms
        self._log_ahead_ms = ahead_ms if self._log_ahead_ms is None else max(self._log_ahead_ms, ahead_ms)
        try:
            said = envelopes.decode(record.value, check_viewers=False)
        except SchemaError:
            self._counters.undecodable_total += 1
            return
        if said.type == "end":
            self._watched.pop(said.channel, None)
            self._seq.pop(said.channel, None)
        elif said.type != "reseal":
            self._take(said, record.time_ms)

    def log_was_away(self) -> None:
        """Nobody could say anything for a while."""
        self._there_since_ms = None

    def _take(self, said: envelopes.Envelope, time_ms: int) -> None:
        watched = self._watched.get(said.channel)
        by_closer = said.source.startswith(SOURCE_PREFIX)
        if watched is None:
            if said.observed is None:
                return  # a file's: its hours close at its end
            if len(self._watched) >= MAX_CHANNELS:
                del self._watched[min(self._watched, key=lambda channel: self._watched[channel].heard_ms)]
                self._counters.forgotten_total += 1
            watched = self._watched[said.channel] = _Watched(said.login, time_ms, said.observed[0])
        if not by_closer:
            watched.heard_ms, watched.login = time_ms, said.login
        if said.observed is not None:
            watched.observe(said.observed[0], said.observed[1], time_ms)

    def due(self, steady_ms: int) -> list[Append]:
        """Records to append now, for a watch that has read its partition to the end."""
        if self._log_ahead_ms is None:
            return []
        now_ms = steady_ms + self._log_ahead_ms
        if self._there_since_ms is None:
            self._there_since_ms = now_ms
        there_ms, holes_known_ms = now_ms - self._there_since_ms, now_ms - self._rules.hole_ms
        until_ms = min(now_ms - self._rules.margin_ms, MAX_AT_MS - 1)
        out: list[Append] = []
        for channel, watched in self._watched.items():
            if until_ms <= watched.frontier_ms:
                continue
            if min(now_ms - watched.heard_ms, there_ms) < self._rules.silent_ms:
                for start_ms, end_ms in watched.holes(holes_known_ms) if there_ms >= self._rules.hole_ms else ():
                    ticks = self._absent(channel, watched, start_ms, min(end_ms, until_ms))
                    self._counters.holes_total += bool(ticks)
                    out += ticks
            elif now_ms - watched.heard_ms >= self._rules.end_after_ms:
                out += self._absent(channel, watched, watched.frontier_ms, until_ms)
                out.append(self._append("end", channel, watched, None))
                self._counters.ends_total += 1
            elif until_ms >= self._closes_at_ms(watched.frontier_ms):
                out += self._absent(channel, watched, watched.frontier_ms, until_ms)
        return out

    def _closes_at_ms(self, frontier_ms: int) -> int:
        """Where the frontier must be for the hour to close that is open now."""
        length_ms, grace_ms = self._rules.epoch_length_ms, self._rules.grace_ms
        return (frontier_ms - grace_ms) // length_ms * length_ms + length_ms + grace_ms

    def _absent(self, channel: str, watched: _Watched, from_ms: int, until_ms: int) -> list[Append]:
        """Ticks over [from, until): one, or more where it is longer than an interval may be."""
        out = []
        for start_ms in range(from_ms, until_ms, envelopes.MAX_INTERVAL_MS):
            end_ms = min(until_ms, start_ms + envelopes.MAX_INTERVAL_MS)
            out.append(self._append("tick", channel, watched, (start_ms, end_ms, "absent")))
        self._counters.ticks_total += len(out)
        return out

    def _append(
        self,
        kind: envelopes.Type,
        channel: str,
        watched: _Watched,
        observed: tuple[int, int, envelopes.CoverageKind] | None,
    ) -> Append:
        seq = self._seq.get(channel, 0)
        self._seq[channel] = seq + 1
        value = envelopes.encode(kind, channel, watched.login, self._source, seq, observed)
        return Append(self._partition, channel.encode(), value)


class Closer:
    """Watches every partition. Several closers do no harm: an interval said twice is the same interval."""

    def __init__(
        self,
        log: Log,
        session: str,
        rules: CloserRules,
        *,
        worker_group: str = "work",
        steady_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        """session: no other closer process ever had it. worker_group: whose low-water mark says where to begin."""
        self.counters = CloserCounters()
        self._log = log
        self._source = SOURCE_PREFIX + session
        self._rules = rules
        self._group = worker_group
        self._steady_ms = steady_ms

    async def run(self, stop: asyncio.Event) -> None:
        """Until stop is set. Outlives a lost log."""
        partitions = await self._log.partitions(CHAT_EVENTS)
        async with asyncio.TaskGroup() as group:
            for partition in range(partitions):
                group.create_task(self._watch(partition, stop))

    async def _watch(self, partition: int, stop: asyncio.Event) -> None:
        watch = PartitionWatch(partition, self._source, self._rules, self.counters)
        at: int | None = None
        due_ms = 0
        while not stop.is_set():
            try:
                if at is None:
                    # Below the workers' low-water mark no hour is open.
                    at = await self._log.committed(self._group, CHAT_EVENTS, partition) or 0
                at = await self.step(watch, partition, at)
                if self._steady_ms() >= due_ms and await self.sweep(watch, partition, at):
                    due_ms = self._steady_ms() + SWEEP_EVERY_MS
            except LogError as lost:
                self.counters.log_lost_total += 1
                logger.warning("the closer waits for the log: %s", lost)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RETRY_S)

    async def step(self, watch: PartitionWatch, partition: int, at: int) -> int:
        """Read on from offset `at`; returns the next offset."""
        with self._asking(watch):
            read = await self._log.read(CHAT_EVENTS, partition, at, max_records=READ_RECORDS, wait_ms=WAIT_MS)
        for record in read:
            watch.feed(record, self._steady_ms())
            at = record.offset + 1
        return at

    async def sweep(self, watch: PartitionWatch, partition: int, at: int) -> bool:
        """Say what is due, if everything was read; returns whether it was."""
        with self._asking(watch):
            end = (await self._log.span(CHAT_EVENTS, partition))[1]
        if end > at:
            return False
        if said := watch.due(self._steady_ms()):
            with self._asking(watch):
                await self._log.append(CHAT_EVENTS, said)
        return True

    @contextmanager
    def _asking(self, watch: PartitionWatch) -> Iterator[None]:
        """Notes where the log is lost, or hangs."""
        began_ms = self._steady_ms()
        try:
            yield
        except LogError:
            watch.log_was_away()
            raise
        if self._steady_ms() - began_ms > LATE_MS:
            watch.log_was_away()
