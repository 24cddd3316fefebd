"""The runner on Postgres: one process, no broker. Leased partitions of `chat.events` are folded, outputs and position
go out in one transaction, so a kill at any moment loses and repeats nothing.

In: a LeasingLog. Out: `epoch.sealed`, `dead`, the stored position (see `leased`). Here: which partitions are ours.
"""

import asyncio
import contextlib
import logging

from schemas.errors import TwzrdError
from schemas.policy import PolicySchedule
from streams.log.port import CHAT_EVENTS, Lease, LeasingLog, LogError
from streams.runner.backoff import Backoff, pause
from streams.runner.leased import LeasedPartition, Limits
from streams.runner.metrics import RunnerMetrics
from streams.runner.reseal import ArchiveReader

_log = logging.getLogger(__name__)


class PostgresRunner:
    """Holds leases and drives a shard per lease until `stop` is set."""

    def __init__(
        self,
        log: LeasingLog,
        schedule: PolicySchedule,
        pepper: bytes,
        *,
        group: str,
        worker: str,
        archive: ArchiveReader | None,
        limits: Limits,
        metrics: RunnerMetrics,
    ) -> None:
        self._log = log
        self._schedule = schedule
        self._pepper = pepper
        self._group = group
        self._worker = worker
        self._archive = archive
        self._limits = limits
        self._metrics = metrics
        self._drives: dict[int, tuple[asyncio.Task[None], asyncio.Event, Lease]] = {}
        self._leases: dict[int, Lease] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until stop is set: then transactions under way are finished and leases released."""
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    leases = await self._log.acquire(self._group, CHAT_EVENTS, self._worker)
                except LogError as error:
                    self._metrics.counters.log_lost_total += 1
                    _log.warning("worker %s cannot reach the log: %s; trying again", self._worker, error)
                    await backoff.wait(stop)
                    continue
                backoff.reset()
                self._reconcile({lease.partition: lease for lease in leases})
                await pause(stop, self._limits.lease_interval_s)
        finally:
            await self._end()

    def _reconcile(self, leases: dict[int, Lease]) -> None:
        """Start what was gained, end what was lost."""
        self._leases = leases
        for partition, (task, ending, lease) in list(self._drives.items()):
            if task.done():
                del self._drives[partition]
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            elif leases.get(partition) is not lease:
                ending.set()
        for partition, lease in leases.items():
            if partition not in self._drives:
                ending = asyncio.Event()
                drive = LeasedPartition(
                    self._log, lease, self._schedule, self._pepper, self._archive, self._limits, self._metrics
                )
                self._drives[partition] = (asyncio.create_task(drive.run(ending)), ending, lease)

    async def _end(self) -> None:
        for _, ending, _ in self._drives.values():
            ending.set()
        results = await asyncio.gather(*(task for task, _, _ in self._drives.values()), return_exceptions=True)
        self._drives.clear()
        for lease in self._leases.values():
            with contextlib.suppress(LogError):  # an expired lease is as good as a released one
                await lease.release()
        for result in results:
            if isinstance(result, TwzrdError):
                _log.error("worker %s: a partition ended: %s", self._worker, result)
            elif isinstance(result, Exception):
                _log.error("worker %s: a partition ended badly", self._worker, exc_info=result)


async def run_postgres(
    log: LeasingLog,
    schedule: PolicySchedule,
    pepper: bytes,
    *,
    worker: str,
    group: str = "work",
    archive: ArchiveReader | None = None,
    stop: asyncio.Event | None = None,
    limits: Limits | None = None,
    metrics: RunnerMetrics | None = None,
) -> None:
    """Work on an open log until `stop` is set (the caller ties SIGTERM and SIGINT to it).

    worker: a name no other living worker of the group has. Raises PositionLost where the log was trimmed below the
    stored position, OtherPepper where it was sealed with another pepper, SchemaError where epoch.sealed holds a record
    this program cannot read.
    """
    runner = PostgresRunner(
        log,
        schedule,
        pepper,
        group=group,
        worker=worker,
        archive=archive,
        limits=limits if limits is not None else Limits(),
        metrics=metrics if metrics is not None else RunnerMetrics(),
    )
    await runner.run(stop if stop is not None else asyncio.Event())
