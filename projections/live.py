"""The projection "live": boards of the hours that are open now, from `chat.events`.

In: envelopes that say what was observed (live chat; files carry no observation and have no open hour). Out: rows of
live_boards, one a channel and hour, written once a transaction; each is a function of the log, whatever the batches.
Memory is filled again from the log after a start: `low_water` names the first record that it rests on. A board is
dropped an hour after its own ended, by the partition's clock: the newest observation of any of its channels.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from projections.board import OpenBoard
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.read import BOARDS_NOTIFY
from projections.source import Entry
from projections.sql import sql
from schemas.envelope import Envelope
from schemas.errors import SchemaError
from schemas.policy import PolicySchedule
from streams.core.admit import admitted
from streams.log.port import CHAT_EVENTS

MAX_SOURCES: Final = 100_000
"""Sources of one partition whose newest `seq` is remembered, so that an envelope delivered twice counts once."""
BoardKey = tuple[str, int]
"""(channel, epoch_start_s)."""


@dataclass(slots=True)
class _Partition:
    """What one partition's records came to."""

    clock_ms: int = 0
    clock_offset: int | None = None
    """The record that set the clock."""
    boards: dict[BoardKey, OpenBoard] = field(default_factory=dict)
    seq: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)
    changed: set[BoardKey] = field(default_factory=set)
    dropped: set[BoardKey] = field(default_factory=set)


class LiveProjection(Projection):
    """See the module."""

    name: ClassVar[str] = "live"
    stream: ClassVar[str] = CHAT_EVENTS
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]] = ("live_boards",)

    def __init__(self, schedule: PolicySchedule, metrics: ProjectionMetrics) -> None:
        self._schedule, self._metrics = schedule, metrics
        self._partitions: dict[int, _Partition] = {}

    def recall(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._take(entry)
        for state in self._states_of(entries):
            # The table has these already.
            state.changed.clear()
            state.dropped.clear()

    def _states_of(self, entries: Sequence[Entry]) -> list[_Partition]:
        """Of the partitions of these entries only: others may be recalled while a write is awaited."""
        partitions = sorted({entry.partition for entry in entries})
        return [self._partitions[partition] for partition in partitions if partition in self._partitions]

    def low_water(self, partition: int) -> int | None:
        state = self._partitions.setdefault(partition, _Partition())
        if state.clock_offset is None:
            return None
        return min(state.clock_offset, *(board.first_offset for board in state.boards.values()), state.clock_offset)

    def rolled_back(self) -> None:
        self._partitions.clear()

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._take(entry)
        for state in self._states_of(entries):
            if state.dropped:
                channels, starts = zip(*sorted(state.dropped), strict=True)
                await connection.execute(sql("drop_boards"), list(channels), list(starts))
            rows = [_row(state, key) for key in sorted(state.changed)]
            if rows:
                await connection.executemany(sql("upsert_board"), rows)
            if rows or state.dropped:
                await connection.execute("select pg_notify($1, '')", BOARDS_NOTIFY)
            state.changed.clear()
            state.dropped.clear()

    def _take(self, entry: Entry) -> None:
        envelope = entry.item
        if not isinstance(envelope, Envelope) or envelope.observed is None or envelope.type == "reseal":
            return
        state = self._partitions.setdefault(entry.partition, _Partition())
        if not _is_new(state, envelope):
            return
        to_ms, before_ms = envelope.observed[1], state.clock_ms
        if to_ms > before_ms:
            state.clock_ms, state.clock_offset = to_ms, entry.offset
        self._count(state, envelope, entry.offset, to_ms)
        if state.clock_ms // self._schedule.epoch_length_ms > before_ms // self._schedule.epoch_length_ms:
            self._drop_old(state)

    def _count(self, state: _Partition, envelope: Envelope, offset: int, observed_to_ms: int) -> None:
        try:
            events = envelope.columns()
        except SchemaError:
            # The worker that seals makes a dead letter of it; a board may miss it, but not in silence.
            self._metrics.undecodable.labels(self.name).inc()
            return
        if len(events) == 0:
            return
        for start_ms, of_epoch in admitted(envelope, events, self._schedule.epoch_length_ms)[0]:
            if self._is_old(state, start_ms // 1000):
                continue
            key = (envelope.channel, start_ms // 1000)
            board = state.boards.get(key)
            if board is None:
                board = state.boards[key] = OpenBoard(offset)
            before = board.untracked_events
            board.count(of_epoch, self._schedule.at(start_ms // 1000))
            board.login, board.observed_to_ms = envelope.login, max(observed_to_ms, board.observed_to_ms)
            self._metrics.board_viewers_untracked.inc(board.untracked_events - before)
            state.changed.add(key)

    def _is_old(self, state: _Partition, epoch_start_s: int) -> bool:
        return (epoch_start_s + 2 * self._schedule.epoch_length_s) * 1000 <= state.clock_ms

    def _drop_old(self, state: _Partition) -> None:
        for key in [key for key in state.boards if self._is_old(state, key[1])]:
            del state.boards[key]
            state.changed.discard(key)
            state.dropped.add(key)


def _is_new(state: _Partition, envelope: Envelope) -> bool:
    """False for an envelope whose source already said this or a later one of the channel."""
    source = (envelope.channel, envelope.source)
    last = state.seq.get(source)
    if last is not None and envelope.seq <= last:
        return False
    state.seq[source] = envelope.seq
    state.seq.move_to_end(source)
    if len(state.seq) > MAX_SOURCES:
        state.seq.popitem(last=False)
    return True


def _row(state: _Partition, key: BoardKey) -> tuple[object, ...]:
    """Arguments of upsert_board."""
    channel, epoch_start_s = key
    board = state.boards[key]
    return (
        channel,
        epoch_start_s,
        board.login,
        board.participants,
        board.untracked_events,
        board.messages,
        board.weight_centi,
        board.last_event_ms,
        board.observed_to_ms,
        msgspec.json.encode(board.top()).decode(),
    )
