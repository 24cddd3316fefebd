"""One leased partition on Postgres: read, fold, write, until it is ended or another worker has taken it over.

In: records of `chat.events` from the stored position on. Out: outputs and position in one transaction. Reading the next
batch and committing the last one overlap with folding; nothing is written while there is nothing to say.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.policy import PolicySchedule
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, Append, Fenced, Lease, LeasingLog, LogError, LogRecord
from streams.runner.backoff import Backoff
from streams.runner.driver import load_resume, refuse_other_pepper, size_bytes, starting_point, to_appends
from streams.runner.feeding import feed
from streams.runner.metrics import RunnerMetrics
from streams.runner.reseal import ArchiveReader, answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one step of a partition, and how often a worker does what has no trigger."""

    batch_records: int = 500
    batch_bytes: int = 8 << 20
    transaction_bytes: int = 64 << 20
    """Outputs of one transaction, unless a single one is larger."""
    slice_records: int = 50
    """Records folded before other partitions and the heartbeat get their turn."""
    idle_wait_ms: int = 5000
    """A reader waits on notifications; this is only how long it trusts that they come."""
    position_interval_s: float = 1.0
    """How often a position that moved without any output is stored."""
    lease_interval_s: float = 1.0


class LeasedPartition:
    """Drives one shard over one lease."""

    def __init__(
        self,
        log: LeasingLog,
        lease: Lease,
        schedule: PolicySchedule,
        pepper: bytes,
        archive: ArchiveReader | None,
        limits: Limits,
        metrics: RunnerMetrics,
    ) -> None:
        self._log = log
        self._lease = lease
        self._partition = lease.partition
        self._schedule = schedule
        self._pepper = pepper
        self._archive = archive
        self._limits = limits
        self._metrics = metrics
        self._stored = 0
        self._stored_at = 0.0
        self._committing: asyncio.Task[None] | None = None

    async def run(self, ending: asyncio.Event) -> None:
        """Until ending is set or the lease is lost; a lost log is tried again from the stored position."""
        backoff = Backoff()
        while not ending.is_set():
            try:
                shard = await self._start()
                try:
                    await self._fold_on(shard, ending, backoff)
                finally:
                    self._metrics.stopped(self._partition)
                    await self._drop_commit()
            except Fenced as error:
                self._metrics.counters.fenced_total += 1
                _log.warning("partition %d was taken over by another worker: %s", self._partition, error)
                return
            except LogError as error:
                self._metrics.counters.log_lost_total += 1
                _log.warning("partition %d cannot reach the log: %s; trying again", self._partition, error)
                await backoff.wait(ending)

    async def _start(self) -> Shard:
        stored = await self._lease.position() or None  # a lease does not tell 0 from nothing
        start, self._metrics.ends[self._partition] = await starting_point(self._log, self._partition, stored)
        self._stored = start
        self._stored_at = asyncio.get_running_loop().time()
        resume = await load_resume(self._log, self._partition, start, self._schedule.epoch_length_s)
        shard = Shard(self._schedule, self._pepper, start, resume, partition=self._partition)
        refuse_other_pepper(resume, shard.sealer, self._partition)
        self._metrics.started(shard)
        return shard

    async def _fold_on(self, shard: Shard, ending: asyncio.Event, backoff: Backoff) -> None:
        ended = asyncio.create_task(ending.wait())
        reading = asyncio.create_task(self._read(shard.next))
        try:
            while True:
                await asyncio.wait((reading, ended), return_when=asyncio.FIRST_COMPLETED)
                if ending.is_set():
                    break
                records = reading.result()
                backoff.reset()
                self._see_end(shard, records)
                reading = asyncio.create_task(self._read(records[-1].offset + 1 if records else shard.next))
                outputs = await self._fold(shard, records, ending)
                await self._commit(shard, outputs)
            await self._finish(shard)
        finally:
            for task in (reading, ended):
                task.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def _read(self, start: int) -> list[LogRecord]:
        limits = self._limits
        return await self._log.read(
            CHAT_EVENTS,
            self._partition,
            start,
            max_records=limits.batch_records,
            max_bytes=limits.batch_bytes,
            wait_ms=limits.idle_wait_ms,
        )

    def _see_end(self, shard: Shard, records: Sequence[LogRecord]) -> None:
        known = self._metrics.ends.get(self._partition, 0)
        self._metrics.ends[self._partition] = max(known, records[-1].offset + 1) if records else shard.next

    async def _fold(self, shard: Shard, records: Sequence[LogRecord], ending: asyncio.Event) -> list[Output]:
        """Feed a batch; what it gives is acknowledged by the transaction that follows."""
        outputs: list[Output] = []
        for index, record in enumerate(records):
            if index % self._limits.slice_records == 0 and index:
                await asyncio.sleep(0)
                if ending.is_set():
                    return outputs
            for made in await feed(shard, record.offset, record.value):
                if isinstance(made, Output):
                    outputs.append(made)
                else:
                    outputs = await self._answer(shard, made, outputs)
        return outputs

    async def _answer(self, shard: Shard, request: ResealRequest, outputs: list[Output]) -> list[Output]:
        """Make what came before durable, then answer."""
        await self._commit(shard, outputs)
        await self._await_commit()
        made = await answer(self._log, shard, self._partition, request, self._archive)
        return [] if made is None else [made]

    async def _commit(self, shard: Shard, outputs: list[Output]) -> None:
        """Write outputs and position in one transaction, while the next batch is read and folded. Outputs count as
        acknowledged from here on: a transaction that fails drops the shard."""
        now = asyncio.get_running_loop().time()
        if not outputs and now - self._stored_at < self._limits.position_interval_s:
            return
        for output in outputs:
            shard.acknowledged(output.ordinal)
        position = shard.low_water()
        self._stored_at = now
        if not outputs and position == self._stored:
            return
        await self._await_commit()
        self._committing = asyncio.create_task(self._write(outputs, position))

    async def _write(self, outputs: Sequence[Output], position: int) -> None:
        """One transaction; several where the outputs are too large for one (the end of a year's file), the position in
        the last. Cut there by a kill, the seals already written are known to the next owner by epoch.sealed."""
        *pieces, last = _pieces(outputs, self._limits.transaction_bytes)
        for piece in pieces:
            await self._write_once(piece, None)
        await self._write_once(last, position)
        self._stored = position

    async def _write_once(self, outputs: Sequence[Output], position: int | None) -> None:
        by_stream: dict[str, list[Append]] = {}
        for output in outputs:
            by_stream.setdefault(output.stream, []).extend(to_appends(output, self._partition))
        async with self._lease.transaction() as transaction:
            for stream, appends in by_stream.items():
                await transaction.append(stream, appends)
            if position is not None:
                await transaction.commit_position(position)
        self._metrics.counters.transactions_total += 1
        self._metrics.counters.outputs_total += len(outputs)

    async def _await_commit(self) -> None:
        if self._committing is not None:
            committing, self._committing = self._committing, None
            await committing

    async def _drop_commit(self) -> None:
        """Let a transaction under way come to its end before the shard is dropped; what became of it is read again."""
        if self._committing is not None:
            committing, self._committing = self._committing, None
            with contextlib.suppress(LogError):
                await committing

    async def _finish(self, shard: Shard) -> None:
        """A graceful end: the last transaction, then the position as far as it has moved."""
        await self._await_commit()
        if shard.low_water() != self._stored:
            await self._write([], shard.low_water())


def _pieces(outputs: Sequence[Output], max_bytes: int) -> list[list[Output]]:
    """The outputs in order, cut so that no piece of several is over the bound; at least one piece."""
    pieces: list[list[Output]] = [[]]
    held_bytes = 0
    for output in outputs:
        output_bytes = size_bytes(output)
        if pieces[-1] and held_bytes + output_bytes > max_bytes:
            pieces.append([])
            held_bytes = 0
        pieces[-1].append(output)
        held_bytes += output_bytes
    return pieces
