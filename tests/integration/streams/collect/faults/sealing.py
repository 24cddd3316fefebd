"""What a trial left on the log, folded and sealed as workers would, with the closer beside: pure, no clock.

In: records by partition. Out: for each channel which epochs closed, and how many events, doubles and late ones the fold
counted. Epochs are seconds long, so that a run of minutes has many; what the closer waits for passes at once.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from schemas.envelope import decode
from schemas.parts import SealAssembler
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Closed, SealedEpoch, decode_record
from streams.collect.live.closer import SOURCE_PREFIX, CloserCounters, CloserRules, PartitionWatch
from streams.core.outputs import Output
from streams.core.shard import Shard
from streams.log.port import EPOCH_SEALED, LogRecord
from tests.integration.streams.collect.faults.verdict import union
from tests.live import PEPPER

POLICY: Final = msgspec.structs.replace(DEFAULT_POLICY, epoch_length_s=20, grace_s=30)
RULES: Final = CloserRules(epoch_length_ms=POLICY.epoch_length_ms, grace_ms=POLICY.grace_s * 1000)


@dataclass
class Folded:
    """One channel. closed: starts of its epochs, s, each as often as it closed. events: distinct ones that seals count;
    duplicates: what came again."""

    closed: list[int] = field(default_factory=list)
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0


@dataclass
class Sealed:
    """folded: by channel identity. late: events of epochs that were closed; absent: ticks of the closer; in_run: epochs
    that closed before the closer said anything; could: channels whose observations reached so far that some had to."""

    folded: dict[str, Folded] = field(default_factory=dict)
    late: int = 0
    quarantined: int = 0
    absent: int = 0
    in_run: int = 0
    could: int = 0


def sealed(partitions: list[list[LogRecord]], *, closer: bool = True) -> Sealed:
    """As on the log, and then as if silence had lasted until the closer speaks; closer False: it does not run."""
    found = Sealed()
    for partition, records in enumerate(partitions):
        if not records:
            continue
        worker = _Worker(partition, found)
        for record in records:
            worker.feed(record.value)
        found.in_run += worker.closings
        found.could += _that_close_some(records)
        if closer:
            said = _absent(partition, records)
            found.absent += len(said)
            for value in said:
                worker.feed(value)
        found.late += worker.shard.metrics.late_events_total
        found.quarantined += worker.shard.metrics.quarantined_events_total
    return found


class _Worker:
    def __init__(self, partition: int, found: Sealed) -> None:
        self.shard = Shard(PolicySchedule.of(POLICY), PEPPER, 0, partition=partition)
        self.closings = 0
        self._found = found
        self._assembler = SealAssembler()
        self._next = 0

    def feed(self, value: bytes) -> None:
        for output in self.shard.feed(self._next, value):
            assert isinstance(output, Output)
            self.shard.acknowledged(output.ordinal)
            if output.stream == EPOCH_SEALED:
                for _, record in output.records:
                    self._take(self._assembler.feed(decode_record(record)))
        self._next += 1

    def _take(self, made: object) -> None:
        if isinstance(made, SealedEpoch):
            channel = self._of(made.header.channel)
            channel.closed.append(made.header.epoch_start_s)
            channel.events += made.stats.events
            channel.duplicates += made.stats.duplicates
            channel.conflicts += made.stats.conflicts
            self.closings += 1
        elif isinstance(made, Closed):
            starts = range(made.from_s, made.until_s, POLICY.epoch_length_s)
            self._of(made.channel).closed += starts
            self.closings += len(starts)

    def _of(self, channel: str) -> Folded:
        return self._found.folded.setdefault(channel, Folded())


def _that_close_some(records: list[LogRecord]) -> int:
    """Channels whose observations, joined, reach a grace beyond the end of the epoch they began in. Faults may leave a
    hole early on in every channel, and then none does until it is declared absent."""
    observed: dict[str, list[tuple[int, int]]] = {}
    for record in records:
        said = decode(record.value)
        if said.observed is not None:
            observed.setdefault(said.channel, []).append(said.observed[:2])
    count = 0
    for spans in observed.values():
        begun = spans[0][0]
        first_end = begun - begun % POLICY.epoch_length_ms + POLICY.epoch_length_ms
        reached = next(end for start, end in union(spans) if start <= begun < end)
        count += reached - POLICY.grace_s * 1000 >= first_end
    return count


def _absent(partition: int, records: list[LogRecord]) -> list[bytes]:
    """What the closer says once silence has lasted long enough. Its steady clock is the log's."""
    watch = PartitionWatch(partition, f"{SOURCE_PREFIX}test", RULES, CloserCounters())
    for record in records:
        watch.feed(record, record.time_ms)
    last_ms = max(record.time_ms for record in records)
    assert not watch.due(last_ms), "a collector has just spoken of every channel, and declares its holes itself"
    return [one.value for one in watch.due(last_ms + RULES.silent_ms)]
