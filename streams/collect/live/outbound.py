"""The outbound: envelopes and dead letters -> the log, or the disk while the log is away. Last step of the collector.

    put -> lanes (memory) -> Log.append, one call in flight a lane            the log is well
           lanes -> spool -> Log.append, one call in flight                   it is down, or slow

A channel always takes the same lane, and a lane sends its next records when the last are durable: so a channel's
records never overtake each other, and no claim is on the log without the events before it. What failed, or did not
answer in time, is sent again: the log may hold it twice, which the fold takes once. What waited is held against the
opt-outs of meanwhile.

Everything goes through the spool from the first failure on until it is empty again; at a start what an earlier process
left there goes first. Where neither memory nor disk has room `put` says so, and the Intake leaves a hole.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from schemas.envelope import decode
from schemas.errors import SchemaError
from streams.collect.live.counters import OutboundCounters
from streams.collect.live.doubts import Doubts
from streams.collect.live.lanes import EVENTS, LANES, LETTERS, MAX_QUEUED_BYTES, STREAMS, Lane, Record, lane_number
from streams.collect.live.rechecking import Recheck
from streams.collect.live.spool import Spool, SpoolError
from streams.collect.live.spool_records import Spooled
from streams.collect.live.suppression import NobodySuppressed, Suppression
from streams.log.port import Append, Log, LogError

REPLAY_RECORDS: Final = 1_000
REPLAY_BYTES: Final = 4 << 20
ANSWER_S: Final = 10.0
"""A log that does not answer an append by then counts as away."""
RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 5.0
SYNC_S: Final = 1.0
DRAIN_S: Final = 0.1
"""While the log is away, how often the lanes are emptied onto the disk."""

Durable = Callable[[str, int], None]
"""Told the channel and to_ms of an interval that is on the log for certain."""


class LogOutbound:
    """Implements port.Outbound. `run` does the sending until `close`; spool: opened by the caller, None for none."""

    def __init__(
        self,
        log: Log,
        spool: Spool | None = None,
        counters: OutboundCounters | None = None,
        *,
        durable: Durable | None = None,
        recheck: Recheck | None = None,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        answer_s: float = ANSWER_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self.counters = counters or OutboundCounters()
        self._log = log
        self._spool = spool
        self._durable = durable or (lambda channel, to_ms: None)
        self._recheck = recheck or Recheck(Suppression(NobodySuppressed()), self.counters)
        self._doubts = Doubts(self.counters)
        self._damaged_bytes = 0
        """Of the spool, as far as it is taken into account."""
        self._max_queued_bytes = max_queued_bytes
        self._answer_s = answer_s
        self._retry_s = self._wait_s = retry_s
        self._lanes = [Lane(EVENTS) for _ in range(LANES)] + [Lane(LETTERS)]
        self._away = asyncio.Event()
        """Set: everything goes through the spool."""
        self._well = asyncio.Event()
        self._well.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()
        self._synced_s = 0.0
        if spool is not None and not spool.empty:
            self._leave_log()

    # ---- port ------------------------------------------------------------------------------------------------------

    def put(self, channel: str, value: bytes, events: int, *, said_to_ms: int | None = None) -> bool:
        """See port.Outbound."""
        key = channel.encode()
        return self._put(self._lanes[lane_number(key)], Record(key, value, said_to_ms, self._recheck.version))

    def put_dead(self, letter: bytes) -> bool:
        """See port.Outbound."""
        return self._put(self._lanes[LANES], Record(b"", letter, None, 0))

    def _put(self, lane: Lane, record: Record) -> bool:
        size = record.size_bytes
        counters = self.counters
        if counters.queued_bytes + size > self._max_queued_bytes // 2 and self._spool is not None:
            self._leave_log()  # the log is slow
        if counters.queued_bytes + size > self._max_queued_bytes:
            if self._away.is_set():
                self._drain()
            if counters.queued_bytes + size > self._max_queued_bytes:
                counters.refused_records += 1
                return False
        lane.records.append(record)
        counters.put_records += 1
        counters.queued_records += 1
        counters.queued_bytes += size
        self._idle.clear()
        lane.filled.set()
        return True

    # ---- sending ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send until `close`, then write what is left to the spool. Raises what a log must not: all but LogError."""
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._send_lane(lane)) for lane in self._lanes]
        tasks += [asyncio.create_task(self._send_spool()), asyncio.create_task(self._closing.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for lane in self._lanes:
                lane.in_flight = 0
            self._drain()
            self.counters.lost_at_close += self.counters.queued_records

    async def flushed(self) -> None:
        """Wait until all that was put is on the log."""
        await self._idle.wait()

    async def close(self, wait_s: float = 5.0) -> None:
        """Give the log that long to take what is left, then end `run`, which writes the rest to the spool."""
        with contextlib.suppress(TimeoutError):  # the next start sends the rest from the spool
            await asyncio.wait_for(self._idle.wait(), wait_s)
        self._closing.set()

    async def _send_lane(self, lane: Lane) -> None:
        while True:
            await self._well.wait()
            if not lane.records:
                lane.filled.clear()
                await lane.filled.wait()
                continue
            batch = lane.head()
            lane.in_flight = len(batch)
            version = self._recheck.version
            fit = [self._fit(lane.stream, one.key, one.value, one.list_version == version) for one in batch]
            sent = await self._append(STREAMS[lane.stream], fit)
            lane.in_flight = 0
            if not sent:
                self._leave_log()
                continue
            for record in batch:
                self._forget(lane.records.popleft())
                if record.said_to_ms is not None:
                    self._durable(record.key.decode(), record.said_to_ms)
            self._look_idle()

    async def _append(self, stream: str, records: list[Append]) -> bool:
        try:
            async with asyncio.timeout(self._answer_s):
                await self._log.append(stream, records)
        except LogError:
            self.counters.append_errors += 1
            return False
        except TimeoutError:
            self.counters.append_timeouts += 1
            return False
        self.counters.appended_records += len(records)
        self._wait_s = self._retry_s
        return True

    def _leave_log(self) -> None:
        """From now on everything goes through the spool, until that is empty."""
        if not self._away.is_set():
            self.counters.outages += 1
        self.counters.spooling = True
        self._well.clear()
        self._away.set()
        self._idle.clear()

    def _return_to_log(self) -> None:
        self.counters.spooling = False
        self._away.clear()
        self._well.set()
        self._look_idle()

    def _look_idle(self) -> None:
        if not self.counters.queued_records and not self._away.is_set():
            self._idle.set()

    def _forget(self, record: Record) -> None:
        self.counters.queued_records -= 1
        self.counters.queued_bytes -= record.size_bytes

    # ---- the spool -------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Move what the lanes hold onto the disk; a lane whose head a call of append has taken stays as it is."""
        if self._spool is None:
            return
        for lane in self._lanes:
            if lane.in_flight or not lane.records:
                continue
            taken = self._spool.append([Spooled(lane.stream, one.key, one.value) for one in lane.records])
            for _ in range(taken):
                self._forget(lane.records.popleft())

    async def _send_spool(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._away.wait()
            retry_at_s = loop.time() + self._wait_s
            self._wait_s = min(2 * self._wait_s, MAX_RETRY_S)  # until the log takes something
            while loop.time() < retry_at_s:  # meanwhile all goes to the disk
                self._drain()
                await self._sync()
                await asyncio.sleep(min(DRAIN_S, self._retry_s))
            self._drain()
            if await self._caught_up() and await self._replay():
                self._return_to_log()  # without a spool the lanes find out whether the log is back

    async def _caught_up(self) -> bool:
        """Whether it is known who opted out while the log was away; False where it still is."""
        try:
            async with asyncio.timeout(self._answer_s):
                await self._recheck.caught_up()
        except (LogError, TimeoutError):
            return False
        return True

    def _fit(self, stream: int, key: bytes, value: bytes, tame: bool = False) -> Append:
        """The record as it may go to the log now. tame: nobody in it opted out."""
        if stream == EVENTS:
            value = self._doubts.without_doubtful(key, value if tame else self._recheck.without_suppressed(value))
        return Append(None, key, value)

    async def _replay(self) -> bool:
        """Send the spool until it is empty; False where the log is still away, or the disk refuses."""
        spool = self._spool
        while spool is not None:
            await self._sync()
            try:
                records, position = spool.read(REPLAY_RECORDS, REPLAY_BYTES)
            except SpoolError:
                return False  # counted; the disk is asked again after a while
            if self.counters.damaged_bytes > self._damaged_bytes:
                self._damaged_bytes = self.counters.damaged_bytes
                self._doubts.lost()
            if not records:
                return True
            for stream, name in enumerate(STREAMS):
                one_stream = [self._fit(stream, one.key, one.value) for one in records if one.stream == stream]
                if one_stream and not await self._append(name, one_stream):
                    spool.rewind()
                    return False
            spool.acknowledge(position)
            self.counters.replayed_records += len(records)
            for record in records:
                if record.stream == EVENTS:
                    self._tell_durable(record)
            if self.counters.queued_bytes > self._max_queued_bytes // 4:  # else this would never end
                self._drain()
        return True

    async def _sync(self) -> None:
        """At most once in SYNC_S."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._synced_s < SYNC_S:
            return
        self._synced_s = loop.time()
        if self._spool is not None and self._spool.unsynced:
            await asyncio.to_thread(self._spool.sync)

    def _tell_durable(self, record: Spooled) -> None:
        try:
            observed = decode(record.value, check_viewers=False).observed
        except SchemaError:
            return  # the fold makes it a dead letter
        if observed is not None:
            self._durable(record.key.decode(), observed[1])
