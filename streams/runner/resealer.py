"""The horizon's timer: late notices on `epoch.sealed` become, after the policy's horizon, reseals on `chat.events`.

In: the records of `epoch.sealed`, a wall clock. Out: one reseal record per late epoch, to the partition its notice
came from; the worker answers it with the next revision. The committed position stays at the oldest notice that still
waits, so a restart forgets none; a restart between a reseal record and its answer may ask once more, which makes one
more revision of the same content and nothing worse.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.envelope import encode_reseal
from schemas.errors import SchemaError
from schemas.policy import PolicySchedule
from schemas.sealed import Late, Seal, decode_record
from streams.core.outputs import RESEAL
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Append, Log, LogError
from streams.runner.backoff import Backoff, pause
from streams.runner.driver import read_through

GROUP: Final = "resealer"
SOURCE: Final = "resealer"
MAX_ANSWERED: Final = 100_000
"""Epochs whose last reseal is remembered, so that a notice delivered twice is known; the oldest is forgotten first."""
MAX_WAITING: Final = 100_000
"""Late epochs of a partition that wait, about; beyond it `epoch.sealed` is read no further until some are due."""
CHECK_INTERVAL_S: Final = 5.0
"""Between two looks at what was said; the horizon is hours."""

_log = logging.getLogger(__name__)


class Due(NamedTuple):
    """An epoch whose late events have waited long enough."""

    channel: str
    login: str
    epoch_start_s: int


@dataclass(slots=True)
class _Waiting:
    login: str
    since_ms: int
    position: int
    """Where the first notice lies on epoch.sealed."""
    through: int
    """The newest late record, as an offset of chat.events."""


class LateNotices:
    """The late notices of one partition that wait. Pure: records and times come in, epochs that are due go out."""

    def __init__(self, schedule: PolicySchedule, start: int) -> None:
        """start: the position in epoch.sealed from which records are fed."""
        self._schedule = schedule
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._answered: OrderedDict[tuple[str, int], int] = OrderedDict()
        self.next = start
        self.undecodable_total = 0

    def feed(self, offset: int, value: bytes, time_ms: int) -> None:
        """Take in a record of epoch.sealed; time_ms is when the log took it in."""
        self.next = offset + 1
        try:
            record = decode_record(value)
        except SchemaError as error:
            self.undecodable_total += 1
            _log.warning("epoch.sealed offset %d: %s; the timer passes over it", offset, error)
            return
        if isinstance(record, Late):
            self._late(record, offset, time_ms)
        elif isinstance(record, Seal) and record.closed_by == RESEAL:
            self.asked(record.channel, record.epoch_start_s, record.through_offset)

    def _late(self, notice: Late, position: int, time_ms: int) -> None:
        key = (notice.channel, notice.epoch_start_s)
        if notice.offset <= self._answered.get(key, -1):
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = _Waiting(notice.login, time_ms, position, notice.offset)
        else:
            waiting.through = max(waiting.through, notice.offset)

    def asked(self, channel: str, epoch_start_s: int, offset: int) -> None:
        """The reseal record at `offset` of chat.events covers every late record of that epoch below it."""
        key = (channel, epoch_start_s)
        self._answered[key] = max(offset, self._answered.pop(key, -1))
        if len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.through < offset:
            del self._waiting[key]

    def due(self, now_ms: int) -> list[Due]:
        """Epochs whose first waiting notice is as old as their policy's horizon, oldest first."""
        ready = [
            (waiting.since_ms, Due(channel, waiting.login, epoch))
            for (channel, epoch), waiting in self._waiting.items()
            if waiting.since_ms + self._schedule.at(epoch).horizon_s * 1000 <= now_ms
        ]
        return [due for _, due in sorted(ready)]

    def low_water(self) -> int:
        """The position to commit: that of the oldest notice that waits."""
        return min((waiting.position for waiting in self._waiting.values()), default=self.next)

    def __len__(self) -> int:
        return len(self._waiting)


async def request_reseal(
    log: Log, channel: str, epoch_start_s: int, epoch_length_s: int, *, login: str = "", partition: int | None = None
) -> tuple[int, int]:
    """Append a reseal record for one epoch; returns its (partition, offset). partition None: by the channel's key."""
    value = encode_reseal(channel, login, SOURCE, 0, epoch_start_s, epoch_length_s)
    return (await log.append(CHAT_EVENTS, [Append(partition, channel.encode(), value)]))[0]


class Resealer:
    """Runs the timer over every partition, or over those `owned` names (so that workers can share the work)."""

    def __init__(
        self,
        log: Log,
        schedule: PolicySchedule,
        *,
        group: str = GROUP,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        owned: Callable[[], Iterable[int]] | None = None,
        interval_s: float = CHECK_INTERVAL_S,
    ) -> None:
        self._log = log
        self._schedule = schedule
        self._group = group
        self._now_ms = now_ms
        self._owned = owned
        self._interval_s = interval_s
        self._notices: dict[int, LateNotices] = {}
        self._committed: dict[int, int] = {}
        self.asked_total = 0
        self.held_back_total = 0
        """Looks that read no further because too many epochs waited."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until stop is set; a lost log is tried again."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                await self.round()
            except LogError as error:
                _log.warning("the reseal timer cannot reach the log: %s; trying again", error)
                self._notices.clear()
                await backoff.wait(stop)
                continue
            backoff.reset()
            await pause(stop, self._interval_s)

    async def round(self) -> int:
        """One look at every partition; returns how many reseal records were appended."""
        owned = range(await self._log.partitions(EPOCH_SEALED)) if self._owned is None else set(self._owned())
        for gone in self._notices.keys() - set(owned):
            del self._notices[gone]
        return sum([await self._look(partition) for partition in owned])

    def waiting(self) -> int:
        """Late epochs that wait for their horizon."""
        return sum(map(len, self._notices.values()))

    async def _look(self, partition: int) -> int:
        notices = self._notices.get(partition)
        if notices is None:
            stored = await self._log.committed(self._group, EPOCH_SEALED, partition)
            notices = LateNotices(self._schedule, stored or 0)
            self._committed[partition] = notices.next
        # Not beyond the end as it is now: behind a worker that catches up, a look would go on as long as the worker.
        first, end = await self._log.span(EPOCH_SEALED, partition)
        async for batch in read_through(self._log, EPOCH_SEALED, partition, max(first, notices.next), end):
            for record in batch:
                notices.feed(record.offset, record.value, record.time_ms)
            if len(notices) >= MAX_WAITING:
                self.held_back_total += 1
                break
        self._notices[partition] = notices  # only now: what waits is known only when all was read
        due = notices.due(self._now_ms())
        for channel, login, epoch_s in due:
            _, offset = await request_reseal(
                self._log, channel, epoch_s, self._schedule.epoch_length_s, login=login, partition=partition
            )
            notices.asked(channel, epoch_s, offset)
            self.asked_total += 1
            _log.info("asked for the next revision of %s at %d: its late events have waited", channel, epoch_s)
        if notices.low_water() != self._committed[partition]:
            await self._log.commit(self._group, EPOCH_SEALED, partition, notices.low_water())
            self._committed[partition] = notices.low_water()
        return len(due)
