"""What a shard must know of the past when it starts in the middle: how far each channel was closed, and by which
record. Learnt at assignment from `epoch.sealed` itself, never from a snapshot of open epochs."""

from bisect import bisect_right
from typing import NamedTuple

from schemas.errors import SchemaError
from schemas.policy import PolicySchedule
from schemas.sealed import VERSION, Closed, ClosingWire, Known, Seal, decode_record, encode_record
from streams.core.outputs import RESEAL


class Closing(NamedTuple):
    """The record at `offset` closed every epoch of the channel that ends by `until_ms`; the channel's frontier was
    then at frontier_ms (None where its input ended there), and it had been closed until after_ms before."""

    until_ms: int
    offset: int
    frontier_ms: int | None
    after_ms: int


class Resume:
    """Closings per channel, gathered from every record of one partition of `epoch.sealed`."""

    def __init__(self, start: int, epoch_length_s: int) -> None:
        """start: the offset in `chat.events` from which the shard will be fed. Closings below it are kept only as
        each channel's latest, so memory follows what is fed again."""
        self._start = start
        self._length_ms = epoch_length_s * 1000
        self._closings: dict[str, list[Closing]] = {}
        self._policies: dict[bytes, set[int]] = {}
        """By canonical policy the epochs (s) that were sealed under it."""
        self._known_through = 0
        self.records_total = 0
        self.newest_header: bytes | None = None
        """Of the seal fed last; None where none was."""

    def feed(self, value: bytes) -> None:
        """Take in one record; raises SchemaError as schemas.sealed.decode_record does."""
        self.records_total += 1
        record = decode_record(value)
        if isinstance(record, Seal):
            self.newest_header = record.header
            self._policies.setdefault(record.policy, set()).add(record.epoch_start_s)
        if isinstance(record, Seal) and record.closed_by != RESEAL:
            until = record.epoch_start_s * 1000 + self._length_ms
            self._add(record.channel, Closing(until, record.through_offset, record.frontier_ms, record.after_ms))
        elif isinstance(record, Closed):
            self._add(
                record.channel, Closing(record.until_s * 1000, record.offset, record.frontier_ms, record.after_ms)
            )
        elif isinstance(record, Known) and record.start <= self._start:
            self._known_through = max(self._known_through, record.through)
            for channel, closings in record.closings.items():
                for closing in closings:
                    said = Closing(closing.until_ms, closing.offset, closing.frontier_ms, closing.after_ms)
                    self._add(channel, said)

    def knows_before(self, offset: int) -> bool:
        """Whether a summary that was fed speaks for every record of `epoch.sealed` below that offset."""
        return self._known_through >= offset

    def check_policies(self, schedule: PolicySchedule) -> None:
        """Raises SchemaError where the schedule has another policy for an epoch than the one it was sealed under: a new
        policy holds from a coming epoch on, and the sealed ones must still come out as they were."""
        for canonical, epochs in self._policies.items():
            for epoch_s in sorted(epochs):
                now = schedule.at(epoch_s)
                if now.canonical != canonical:
                    raise SchemaError(
                        f"the epoch at {epoch_s} was sealed under the policy {canonical.decode('utf-8', 'replace')}, "
                        f"the policy file says version {now.version} for it; list both in the file, the "
                        "new one with an effective_from_s that nothing was sealed after (docs/spec.md, section Policy)"
                    )

    def summary(self, through: int) -> bytes:
        """A record for `epoch.sealed` that tells all this, once every record below `through` was fed."""
        closings = {
            channel: [ClosingWire(*closing) for closing in known] for channel, known in sorted(self._closings.items())
        }
        return encode_record(Known(VERSION, through, self._start, closings))

    def _add(self, channel: str, closing: Closing) -> None:
        known = self._closings.setdefault(channel, [])
        if closing in known:
            return
        known.append(closing)
        known.sort(key=lambda closing: closing[:2])
        while len(known) > 1 and known[1].offset < self._start:  # one below the start stays, as the floor
            del known[0]

    def latest(self, channel: str) -> Closing | None:
        """How far the channel is closed."""
        known = self._unbroken(channel)
        return known[-1] if known else None

    def _unbroken(self, channel: str) -> list[Closing]:
        """The channel's closings up to the first gap. A worker that died may have had a later closing written and an
        earlier one not; the later one then counts as not said: it will be said again, with the same bytes."""
        unbroken: list[Closing] = []
        for closing in self._closings.get(channel, []):
            until_ms = unbroken[-1].until_ms if unbroken else 0
            if closing.offset >= self._start and closing.after_ms > until_ms:
                break
            unbroken.append(closing)
        return unbroken

    def closed_at(self, channel: str, epoch_end_ms: int) -> int:
        """The offset of the record that closed that epoch, or -1 where it lies below the start."""
        known = self._unbroken(channel)
        index = bisect_right(known, epoch_end_ms - 1, key=lambda closing: closing.until_ms)
        return known[index].offset if index < len(known) else -1
