"""The shards of this worker's partitions, and the guard: a record is folded only when it is its shard's `next`.

Stands between the agent (which offers records in whatever order Faust gives them) and streams.core. Comes in: records,
assignments, a tick each second. Goes out: outputs into each shard's outbox, seeks. Everything runs on the worker's
one event loop; only `take_over` and `heal` await.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from streams.agents.counters import WorkerCounters
from streams.core.outputs import Output
from streams.core.resume import Resume
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, Log
from streams.runner.driver import PositionLost, load_resume, refuse_other_pepper, starting_point
from streams.runner.metrics import RunnerMetrics
from streams.runner.outbox import Outbox
from streams.runner.reseal import Answer

TRIES: Final = 2
"""A record that raises this often, each time after a fresh fold, becomes a dead letter and is stepped over."""
SEEKS_BEFORE_LOOKING: Final = 2
"""Seeks without effect after which the log itself is asked whether there is a record at `next`."""
PATIENCE_TICKS: Final = 10

_log = logging.getLogger(__name__)

MakeShard = Callable[[int, int, Resume], Shard]
"""(partition, start, resume) -> a shard that is fed from start on."""


class Reader(Protocol):
    """What the guard needs of the consumer, for partitions of chat.events."""

    def ends(self) -> Mapping[int, int]:
        """Per assigned partition the offset after its last record, as last heard."""

    def flowing(self) -> bool:
        """Records are being fetched: no rebalance, no recovery."""

    async def seek(self, partition: int, offset: int) -> None:
        """Read this partition from there."""

    async def assign_again(self) -> None:
        """Go through take_over once more, for partitions that have no shard."""


@dataclass(slots=True)
class Held:
    """One partition's shard and what surrounds it."""

    shard: Shard
    outbox: Outbox
    sender: asyncio.Future[None]
    start: int
    low_water: int
    astray: bool = False
    """A record beyond `next` came; those between are being read again."""
    broken: bool = False
    fruitless: int = 0
    still: int = 0
    """Seeks, and ticks, since `next` last moved."""
    next_seen: int = -1
    raised: dict[int, int] = field(default_factory=dict)
    """Offsets at which folding raised, with how often; empty unless there is a bug or no memory."""


class Shards:
    """All shards of one worker."""

    topic: str

    def __init__(
        self,
        log: Log,
        make_shard: MakeShard,
        epoch_length_s: int,
        answer: Answer,
        spawn: Callable[[Awaitable[None]], "asyncio.Future[None]"],
        *,
        topic: str,
        guard: bool = True,
    ) -> None:
        """spawn: runs a task that ends the worker loudly when it raises. guard: see settings.Faults."""
        self.topic = topic
        self.counters = WorkerCounters()
        self.metrics = RunnerMetrics()
        self._log = log
        self._make_shard = make_shard
        self._epoch_length_s = epoch_length_s
        self._answer = answer
        self._spawn = spawn
        self._guard = guard
        self._held: dict[int, Held] = {}
        self._taking = asyncio.Lock()
        self._offered = 0
        self._offered_seen = -1

    # -- holding -------------------------------------------------------------------------------------------------

    def held(self) -> Iterable[int]:
        """Partitions that have a shard."""
        return self._held.keys()

    def shard(self, partition: int) -> Shard | None:
        """The shard of a partition held now."""
        held = self._held.get(partition)
        return held.shard if held else None

    def waiting_outputs(self, partition: int) -> int:
        """Outputs not yet acknowledged by the broker."""
        held = self._held.get(partition)
        return len(held.outbox) if held else 0

    def low_water(self, partition: int) -> int | None:
        """The offset to commit. It is also where a shard that raised begins again."""
        held = self._held.get(partition)
        if held is None:
            return None
        if not held.broken:
            held.low_water = held.shard.low_water()
        return held.low_water

    async def take_over(self, committed: Mapping[int, int | None]) -> dict[int, int]:
        """Hold exactly these partitions. A shard is kept when nobody committed beyond its next, and the log reaches up
        to that: it is the same function of the same records. Else a new one starts at the committed low-water mark.
        Returns each `next`. Raises as starting_point and refuse_other_pepper do (streams.runner.driver)."""
        async with self._taking:
            for partition in [partition for partition in self._held if partition not in committed]:
                self._drop(partition)
            for partition, offset in committed.items():
                held = self._held.get(partition)
                start, end = await starting_point(self._log, partition, offset)
                if held is not None and start <= held.shard.next <= end:
                    self.metrics.counters.shards_kept_total += 1
                else:
                    await self._begin(partition, start)
            return {partition: self._held[partition].shard.next for partition in committed}

    async def _begin(self, partition: int, start: int, raised: dict[int, int] | None = None) -> None:
        resume = await load_resume(self._log, partition, start, self._epoch_length_s)
        shard = self._make_shard(partition, start, resume)
        refuse_other_pepper(resume, shard.sealer, partition)
        self._drop(partition)
        outbox = Outbox(shard, self._log.append, self._answer, self.metrics)
        sender = self._spawn(outbox.run())
        self._held[partition] = Held(shard, outbox, sender, start, start, raised=raised or {})
        self.metrics.started(shard)

    def _drop(self, partition: int) -> None:
        held = self._held.pop(partition, None)
        if held is not None:
            held.sender.cancel()
            held.outbox.release()
            self.metrics.stopped(partition)

    # -- folding -------------------------------------------------------------------------------------------------

    def offer(self, partition: int, offset: int, value: bytes) -> None:
        """Fold the record if it is its shard's next; else count it and, if records are missing, have them read."""
        self._offered += 1
        held = self._held.get(partition)
        if held is None or held.broken or (held.astray and offset != held.shard.next):
            self.counters.guard_dropped_total += 1
            return
        if offset > held.shard.next and not self._guard:
            held.shard.skip_to(offset)
        if offset == held.shard.next:
            self._fold(partition, held, offset, value)
        elif offset < held.shard.next:
            self.counters.guard_repeated_total += 1
        else:
            held.astray = True
            self.counters.guard_dropped_total += 1

    def _fold(self, partition: int, held: Held, offset: int, value: bytes) -> None:
        held.astray = False
        if held.raised.get(offset, 0) >= TRIES:
            held.outbox.put([self._step_over(held, value)])
            return
        try:
            outputs = held.shard.feed(offset, value)
        except Exception:  # noqa: BLE001 (counted, logged, mended below)
            self.counters.agent_errors_total += 1
            held.raised[offset] = held.raised.get(offset, 0) + 1
            held.broken = True  # its state may be half changed: nothing is folded until `heal` made a new one
            _log.exception(
                "partition %d offset %d: folding raised (%d of %d times); the shard begins again at %d",
                partition,
                offset,
                held.raised[offset],
                TRIES,
                held.low_water,
            )
            return
        if outputs:
            held.outbox.put(outputs)

    def _step_over(self, held: Held, value: bytes) -> Output:
        """Leave out a record that no fresh fold could take."""
        self.counters.skipped_records_total += 1
        return held.shard.leave_out(
            f"folding this record raised {TRIES} times; see the worker's log, mend, and replay it", value
        )

    async def room(self, partition: int) -> None:
        """Return when the partition's outbox takes more."""
        held = self._held.get(partition)
        if held is not None:
            await held.outbox.room()

    # -- healing -------------------------------------------------------------------------------------------------

    async def heal(self, reader: Reader) -> None:
        """Once a second: make what is missing, and read again where records went by. Raises what the consumer and the
        log raise, and the caller calls again; PositionLost and the like, which end the worker."""
        if not reader.flowing():
            return
        ends = reader.ends()
        self.metrics.ends.update(ends)
        idle, self._offered_seen = self._offered == self._offered_seen, self._offered
        if any(partition not in self._held for partition in ends):
            await reader.assign_again()
        for partition, held in list(self._held.items()):
            if held.broken:
                await self._begin_again(reader, partition, held)
            elif partition in ends and self._stalled(held, ends[partition], idle=idle):
                await self._read_again(reader, partition, held)
            held.next_seen = held.shard.next

    def _stalled(self, held: Held, end: int, *, idle: bool) -> bool:
        """Records are missing: one came too early, or the log goes on and nothing came though the agent was idle for
        a whole tick (or PATIENCE_TICKS ticks while it was busy with other partitions). Or the log has lost them: it
        ends below what was folded (0: nothing was heard of its end yet)."""
        if held.shard.next != held.next_seen:
            held.fruitless = held.still = 0
            return held.astray
        held.still += 1
        missing = held.shard.next < end and not held.outbox.full and (idle or held.still >= PATIENCE_TICKS)
        return held.astray or missing or 0 < end < held.shard.next

    async def _begin_again(self, reader: Reader, partition: int, held: Held) -> None:
        """A new shard from this one's low-water mark."""
        async with self._taking:
            if self._held.get(partition) is held:
                start, _ = await starting_point(self._log, partition, self.low_water(partition))
                await self._begin(partition, start, held.raised)
                await self._seek(reader, partition, self._held[partition])

    async def _read_again(self, reader: Reader, partition: int, held: Held) -> None:
        if held.fruitless >= SEEKS_BEFORE_LOOKING:
            retained, end = await self._log.span(CHAT_EVENTS, partition)
            if held.shard.next < retained:
                raise PositionLost(CHAT_EVENTS, partition, held.shard.next, retained)
            if held.shard.next > end:
                await self._begin_again(reader, partition, held)
                return
            first = await self._log.read(CHAT_EVENTS, partition, held.shard.next, max_records=1)
            if first and first[0].offset > held.shard.next:
                self.metrics.counters.gap_skips_total += 1
                _log.warning(
                    "partition %d: the log has no record in [%d, %d); stepped over",
                    partition,
                    held.shard.next,
                    first[0].offset,
                )
                held.shard.skip_to(first[0].offset)
        held.fruitless += 1
        await self._seek(reader, partition, held)

    async def _seek(self, reader: Reader, partition: int, held: Held) -> None:
        self.metrics.counters.guard_seeks_total += 1
        await reader.seek(partition, held.shard.next)
