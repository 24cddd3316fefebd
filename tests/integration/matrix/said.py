"""What was said on `epoch.sealed` and `dead`, what one shard fed directly says of the same log, and how they differ.

The comparison is the matrix's verdict: a seal with another root anywhere, a seal or notice missing, anything extra.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from schemas.parts import SealAssembler
from schemas.policy import PolicySchedule
from schemas.sealed import Closed, Late, Seal, SealedEpoch, decode_record
from schemas.streams import CHAT_EVENTS, DEAD, EPOCH_SEALED
from streams.core.outputs import Output, ResealRequest
from streams.core.reseal import next_revision, reseal
from streams.core.shard import Shard
from streams.log.port import Log
from streams.runner.driver import read_through

Place = tuple[str, int, int]
"""(channel, epoch_start_s, revision)"""


@dataclass(eq=False)
class Said:
    """All seals and notices met, each version of each."""

    seals: dict[Place, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Canonical headers, which hold root, totals, digest and coverage. More than one at a place is a wrong seal."""
    times: Counter[Place] = field(default_factory=Counter)
    """How often each place was sealed; on Kafka a seal may be said again, with the same bytes."""
    late: set[Late] = field(default_factory=set)
    closed: set[Closed] = field(default_factory=set)
    dead: set[bytes] = field(default_factory=set)
    _assemblers: dict[int, SealAssembler] = field(default_factory=lambda: defaultdict(SealAssembler))

    def take(self, partition: int, value: bytes) -> None:
        """One record of epoch.sealed. Parts are joined, so a body that does not fit its header raises SchemaError."""
        made = self._assemblers[partition].feed(decode_record(value))
        if isinstance(made, SealedEpoch):
            header = made.header
            place = (header.channel, header.epoch_start_s, header.revision)
            self.seals[place].add(header.encode())
            self.times[place] += 1
        elif isinstance(made, Late):
            self.late.add(made)
        elif isinstance(made, Closed):
            self.closed.add(made)


class Listener:
    """Follows `epoch.sealed` and `dead` of a log from their starts."""

    def __init__(self, log: Log, partitions: int) -> None:
        self._log = log
        self._next = {**{(EPOCH_SEALED, number): 0 for number in range(partitions)}, (DEAD, 0): 0}
        self.said = Said()

    async def catch_up(self) -> int:
        """Read all that is there now; returns how many records were new. Raises LogError where the log is lost."""
        new = 0
        for stream, partition in self._next:
            _, end = await self._log.span(stream, partition)
            async for batch in read_through(self._log, stream, partition, self._next[stream, partition], end):
                for record in batch:
                    if stream == DEAD:
                        self.said.dead.add(record.value)
                    else:
                        self.said.take(partition, record.value)
                new += len(batch)
                self._next[stream, partition] = batch[-1].offset + 1
        return new


async def expected(log: Log, schedule: PolicySchedule, pepper: bytes) -> Said:
    """What chat.events, as it lies in the log, must be sealed to."""
    said = Said()
    for partition in range(await log.partitions(CHAT_EVENTS)):
        first, end = await log.span(CHAT_EVENTS, partition)
        records = [
            (record.offset, record.value)
            async for batch in read_through(log, CHAT_EVENTS, partition, first, end)
            for record in batch
        ]
        _fold_directly(records, Shard(schedule, pepper, first, partition=partition), said)
    return said


def _fold_directly(records: list[tuple[int, bytes]], shard: Shard, said: Said) -> None:
    """One shard that nothing ever happens to; its reseals are answered from memory."""
    sealed: dict[tuple[str, int], list[Seal]] = defaultdict(list)
    for offset, value in records:
        shard.skip_to(offset)
        for made in shard.feed(offset, value):
            output = _answered(shard, made, sealed, records) if isinstance(made, ResealRequest) else made
            if output is None:
                continue
            shard.acknowledged(output.ordinal)
            for _, one in output.records:
                if output.stream == DEAD:
                    said.dead.add(one)
                    continue
                said.take(shard.partition, one)
                record = decode_record(one)
                if isinstance(record, Seal):
                    sealed[record.channel, record.epoch_start_s].append(record)


def _answered(
    shard: Shard, asked: ResealRequest, sealed: dict[tuple[str, int], list[Seal]], records: list[tuple[int, bytes]]
) -> Output | None:
    revision = next_revision(sealed[asked.channel, asked.epoch_start_s], asked.offset)
    assert revision is not None
    made = reseal(shard.sealer, asked.channel, asked.login, asked.epoch_start_s, revision, records, asked.offset)
    return shard.answered(asked, made)


@dataclass(frozen=True, slots=True)
class Differences:
    """What is not as it must be; every list is empty when all is well."""

    wrong: list[str]
    missing: list[str]
    extra: list[str]

    def __bool__(self) -> bool:
        return bool(self.wrong or self.missing or self.extra)


def differences(wanted: Said, found: Said) -> Differences:
    """wrong: a place with a header that is not the one wanted, or with two. missing, extra: seals and notices."""
    wrong = [
        f"seal {place}: {len(headers)} different headers, {len(headers - wanted.seals[place])} of them wrong"
        for place, headers in found.seals.items()
        if place in wanted.seals and headers != wanted.seals[place]
    ]
    missing = [f"seal {place}" for place in wanted.seals.keys() - found.seals.keys()]
    extra = [f"seal {place}" for place in found.seals.keys() - wanted.seals.keys()]
    for name in ("late", "closed", "dead"):
        must, have = getattr(wanted, name), getattr(found, name)
        missing += [f"{name} {one!r}" for one in must - have]
        extra += [f"{name} {one!r}" for one in have - must]
    return Differences(sorted(wrong), sorted(missing), sorted(extra))
