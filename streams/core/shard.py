"""The shard: one partition of `chat.events` folded, closed and sealed. Bytes in, records out; no clock, no I/O.

A shard is a function of records [start, next) and of what `epoch.sealed` says was closed before (Resume). Per record:
fold its events, take in its interval, then close what the watermark has reached, in ascending order (spec: Time).
"""

from collections.abc import Iterator
from functools import partial
from itertools import takewhile

from schemas import sealed as records
from schemas.dead import dead_letter
from schemas.dead import encode as encode_dead
from schemas.envelope import Envelope, decode
from schemas.errors import SchemaError, TwzrdError
from schemas.policy import PolicySchedule
from schemas.streams import CHAT_EVENTS, DEAD, EPOCH_SEALED
from streams.core.admit import admitted
from streams.core.channel import Channel, OpenEpoch
from streams.core.outputs import END, WATERMARK, LiveView, Output, ResealRequest, ShardMetrics
from streams.core.resume import Resume
from streams.core.sealing import Sealer

Outputs = list[Output | ResealRequest]


class OutOfOrder(TwzrdError):
    """A record that is not the next one was offered; nothing was folded, the runner must seek to `next`."""


class Shard:
    """Folds one partition. Feed records in offset order; append what comes back; acknowledge it; commit low_water()."""

    def __init__(
        self,
        schedule: PolicySchedule,
        pepper: bytes,
        start: int,
        resume: Resume | None = None,
        *,
        partition: int = 0,
    ) -> None:
        """start: the first offset to be fed, which is the committed low-water mark (0 where none). Raises SchemaError
        as Resume.check_policies does."""
        if resume is not None:
            resume.check_policies(schedule)
        self.next = start
        self.partition = partition
        self.metrics = ShardMetrics()
        self.sealer = Sealer(schedule, pepper)
        self._schedule = schedule
        self._length_ms = schedule.epoch_length_ms
        self._resume = resume if resume is not None else Resume(start, schedule.epoch_length_s)
        self._channels: dict[str, Channel] = {}
        self._ordinal = 0
        self._pending: dict[int, int] = {}
        """Ordinals not yet acknowledged, with the lowest offset each needs."""

    # -- feeding -----------------------------------------------------------------------------------------------

    def feed(self, offset: int, value: bytes) -> Outputs:
        """Take in the record at `offset`; raises OutOfOrder unless it is `next`. Never raises on a bad record: that
        becomes a dead letter."""
        if offset != self.next:
            raise OutOfOrder(
                f"partition {self.partition}: record {offset} offered where {self.next} is next; seek to {self.next}"
            )
        self.metrics.records_total += 1
        try:
            out = self._take(offset, decode(value, check_viewers=False))
        except SchemaError as error:
            return [self.leave_out(str(error), value)]
        self.next = offset + 1
        return out

    def leave_out(self, reason: str, value: bytes) -> Output:
        """Step over the record at `next`; its dead letter keeps reason, place, hash and length."""
        self.metrics.dead_records_total += 1
        self.next += 1
        return self._dead(self.next - 1, "record", reason, value)

    def skip_to(self, offset: int) -> None:
        """Say that no record lies in [next, offset): Kafka leaves gaps where it keeps its own markers."""
        self.next = max(self.next, offset)

    def _take(self, offset: int, envelope: Envelope) -> Outputs:
        out: Outputs = []
        events = envelope.columns()
        channel = self._channel(envelope)
        batches, quarantined = admitted(envelope, events, self._length_ms)
        into = [self._open_epoch(channel, start, offset) for start, _ in batches]
        numbers = [None if epoch is None else epoch.events.intern(events.viewers) for epoch in into]
        if all(epoch is None for epoch in into):
            envelope.check_viewers()  # as interning would: whether a record is bad never depends on what is closed
        # From here on nothing of this record can be bad.
        channel.login = envelope.login or channel.login
        if envelope.type == "reseal":
            return [self._reseal(offset, envelope, channel)]
        self._count_sequence(channel, envelope)
        for (start, batch), epoch, who in zip(batches, into, numbers, strict=True):
            if epoch is None or who is None:
                out += self._late(channel, start, offset, len(batch))
            else:
                channel.open[start] = epoch
                epoch.events.add(batch, who)
                self.metrics.events_total += len(batch)
        if quarantined:
            self.metrics.quarantined_events_total += quarantined
            reason = f"{quarantined} events lie 60 s or more after the end of their record's observation"
            out.append(self._dead(offset, "event", reason, bytes(envelope.ids), events=quarantined))
        if envelope.observed is not None:
            self._observe(channel, offset, envelope)
        return out + self._close_ready(channel, offset, ended=envelope.type == "end")

    def _channel(self, envelope: Envelope) -> Channel:
        channel = self._channels.get(envelope.channel)
        if channel is None:
            channel = Channel(envelope.channel, envelope.login, self._resume.latest(envelope.channel))
            self._channels[envelope.channel] = channel
        return channel

    def _open_epoch(self, channel: Channel, start_ms: int, offset: int) -> OpenEpoch | None:
        """The open epoch that starts then, a new one (not yet the channel's) where it has none, or None where that
        epoch is closed."""
        if start_ms + self._length_ms <= channel.closed_until_ms:
            return None
        return channel.open.get(start_ms) or OpenEpoch(offset)

    def _late(self, channel: Channel, start_ms: int, offset: int, count: int) -> Outputs:
        if offset <= self._resume.closed_at(channel.identity, start_ms + self._length_ms):
            self.metrics.refed_events_total += count
            return []
        self.metrics.late_events_total += count
        notice = records.Late(records.VERSION, channel.identity, channel.login, start_ms // 1000, offset, count)
        return [self._output(EPOCH_SEALED, [self._keyed(channel, start_ms // 1000, notice)], offset)]

    def _observe(self, channel: Channel, offset: int, envelope: Envelope) -> None:
        assert envelope.observed is not None
        start, end, kind = envelope.observed
        channel.observe(start, end, kind)
        first = max(start, channel.closed_until_ms)
        for epoch in range(first - first % self._length_ms, end, self._length_ms):
            if epoch + self._length_ms > channel.closed_until_ms and epoch not in channel.open:
                channel.open[epoch] = OpenEpoch(offset)

    def _count_sequence(self, channel: Channel, envelope: Envelope) -> None:
        lost, repeated = channel.sequence(envelope.source, envelope.seq)
        self.metrics.lost_envelopes_total += lost
        self.metrics.repeated_envelopes_total += repeated

    # -- closing -----------------------------------------------------------------------------------------------

    def _close_ready(self, channel: Channel, offset: int, *, ended: bool) -> Outputs:
        """Close every epoch the watermark has reached (at an end record: every open one), ascending."""
        if offset < channel.closed_at_offset:
            return []  # fed again after a restart: the record that closed these epochs is still to come
        if channel.frontier_ms is None and not ended:
            return []  # a file's records: they close at its end
        in_order = sorted(channel.open)
        # None overtakes an earlier one, though a newer policy may have a shorter grace.
        ready = in_order if ended else list(takewhile(partial(self._reached, channel), in_order))
        if not ready and not ended:
            return []
        closed_by = END if ended else WATERMARK
        out: Outputs = []
        unsealed: list[int] = []
        said_ms = channel.closed_until_ms
        for start in ready:
            made = self._seal(
                channel, start, offset, closed_by, unsealed[-1] + self._length_ms if unsealed else said_ms
            )
            if made is None:
                unsealed.append(start)
            else:
                out += self._unsealed(channel, unsealed, offset, closed_by, said_ms)
                out.append(made)
                unsealed, said_ms = [], start + self._length_ms
        out += self._unsealed(channel, unsealed, offset, closed_by, said_ms)
        if ended and not out and offset != channel.closed_at_offset:  # equal: fed again, all of it was said
            until = channel.closed_until_ms
            out.append(self._closed(channel, until, until, offset, closed_by, until))
        channel.close(ready, self._length_ms, offset, ended=ended)
        return out

    def _reached(self, channel: Channel, start_ms: int) -> bool:
        grace_ms = self._schedule.at(start_ms // 1000).grace_s * 1000
        return channel.frontier_ms is not None and channel.frontier_ms - grace_ms >= start_ms + self._length_ms

    def _seal(self, channel: Channel, start_ms: int, offset: int, closed_by: str, after_ms: int) -> Output | None:
        epoch = channel.open[start_ms]
        made = self.sealer.seal(
            channel.identity,
            channel.login,
            start_ms // 1000,
            0,
            epoch.events,
            channel.coverage.clip(start_ms, start_ms + self._length_ms),
            from_offset=epoch.first_offset,
            through_offset=offset,
            closed_by=closed_by,
            frontier_ms=None if closed_by == END else channel.frontier_ms,
            after_ms=after_ms,
        )
        return None if made is None else self.output_of(made, epoch.first_offset)

    def output_of(self, sealed: records.SealedEpoch, needs_offset: int) -> Output:
        """The output that carries a seal; until it is acknowledged the records from needs_offset on are needed."""
        self.metrics.sealed_total += 1
        key = f"{sealed.header.channel}|{sealed.header.epoch_start_s}".encode()
        return self._output(
            EPOCH_SEALED, [(key, records.encode_record(one)) for one in records.split_seal(sealed)], needs_offset
        )

    def _unsealed(self, channel: Channel, starts: list[int], offset: int, closed_by: str, after_ms: int) -> Outputs:
        if not starts:
            return []
        self.metrics.closed_unsealed_total += len(starts)
        return [self._closed(channel, starts[0], starts[-1] + self._length_ms, offset, closed_by, after_ms)]

    def _closed(
        self, channel: Channel, from_ms: int, until_ms: int, offset: int, closed_by: str, after_ms: int
    ) -> Output:
        notice = records.Closed(
            records.VERSION,
            channel.identity,
            channel.login,
            from_ms // 1000,
            until_ms // 1000,
            offset,
            closed_by,
            None if closed_by == END else channel.frontier_ms,
            after_ms,
        )
        needs = min((epoch.first_offset for epoch in channel.open.values()), default=offset)
        return self._output(EPOCH_SEALED, [self._keyed(channel, from_ms // 1000, notice)], needs)

    # -- reseals -----------------------------------------------------------------------------------------------

    def _reseal(self, offset: int, envelope: Envelope, channel: Channel) -> Output | ResealRequest:
        assert envelope.observed is not None
        start_ms, end_ms, _ = envelope.observed
        whole = start_ms % self._length_ms == 0 and end_ms == start_ms + self._length_ms
        closed = end_ms <= channel.closed_until_ms and self._resume.closed_at(channel.identity, end_ms) < offset
        if not whole or not closed:  # fed again after a restart: closed, but not yet at this record
            reason = (
                f"reseal of {envelope.channel} from {start_ms} to {end_ms} ms: that is not a closed epoch; "
                "wait until it is sealed"
            )
            self.metrics.dead_records_total += 1
            return self._dead(offset, "record", reason, envelope.channel.encode())
        self.metrics.reseal_requests_total += 1
        ordinal = self._promise(offset)
        return ResealRequest(ordinal, channel.identity, channel.login, start_ms // 1000, offset)

    def answered(self, request: ResealRequest, sealed: records.SealedEpoch | None) -> Output | None:
        """The output that answers a request (made by core.reseal), or None where there is nothing to say."""
        self.acknowledged(request.ordinal)
        return None if sealed is None else self.output_of(sealed, request.offset)

    # -- outputs and position ----------------------------------------------------------------------------------

    def _promise(self, needs_offset: int) -> int:
        self._ordinal += 1
        self._pending[self._ordinal] = needs_offset
        return self._ordinal

    def _output(self, stream: str, pairs: list[tuple[bytes, bytes]], needs_offset: int) -> Output:
        return Output(self._promise(needs_offset), stream, pairs)

    def _keyed(self, channel: Channel, epoch_s: int, record: records.Record) -> tuple[bytes, bytes]:
        return f"{channel.identity}|{epoch_s}".encode(), records.encode_record(record)

    def _dead(self, offset: int, what: str, reason: str, payload: bytes, events: int = 0) -> Output:
        where: dict[str, str | int] = {"stream": CHAT_EVENTS, "partition": self.partition, "offset": offset}
        if events:
            where["events"] = events
        letter = dead_letter("event" if what == "event" else "record", where, reason, payload)
        return self._output(DEAD, [(f"{self.partition}|{offset}".encode(), encode_dead(letter))], offset)

    def acknowledged(self, ordinal: int) -> None:
        """The output's records are durable. Unknown ordinals are ignored, so it may be said twice."""
        self._pending.pop(ordinal, None)

    def low_water(self) -> int:
        """The lowest offset that an open epoch or an unacknowledged output still needs; the offset to commit."""
        open_ = (epoch.first_offset for channel in self._channels.values() for epoch in channel.open.values())
        return min(self.next, min(self._pending.values(), default=self.next), min(open_, default=self.next))

    def least_watermark_ms(self) -> int | None:
        """The watermark of the channel that is furthest behind; None where no channel states observations."""
        frontiers = [one.frontier_ms for one in self._channels.values() if one.frontier_ms is not None]
        return min((at - self._schedule.at(at // 1000).grace_s * 1000 for at in frontiers), default=None)

    def live_views(self) -> Iterator[LiveView]:
        """Every open epoch as it stands."""
        for channel in self._channels.values():
            for start in sorted(channel.open):
                yield channel.view(start, self._schedule.at(start // 1000))

    def open_bytes(self) -> int:
        """About what the open epochs hold in memory."""
        return sum(epoch.events.nbytes for channel in self._channels.values() for epoch in channel.open.values())
