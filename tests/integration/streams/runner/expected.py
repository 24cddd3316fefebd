"""What a log must be sealed to (one shard fed directly, reseals answered from memory), and what it was sealed to."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.parts import SealAssembler
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Closed, Late, Seal, SealedEpoch, decode_record
from schemas.streams import CHAT_EVENTS, DEAD, EPOCH_SEALED
from streams.core.outputs import Output, ResealRequest
from streams.core.reseal import next_revision, reseal
from streams.core.shard import Shard
from streams.log.port import Log
from streams.runner.driver import read_through

SCHEDULE = PolicySchedule.of(DEFAULT_POLICY)
PEPPER = b"\x42" * 32


@dataclass
class Said:
    """What was said on epoch.sealed and dead: seals as often as they stand there, notices once each."""

    seals: Counter[bytes] = field(default_factory=Counter)
    """Canonical headers, which hold root, digest, coverage and revision."""
    late: dict[tuple[str, int, int], int] = field(default_factory=dict)
    closed: set[tuple[str, int, int, int, str]] = field(default_factory=set)
    dead: set[bytes] = field(default_factory=set)

    def take(self, sealed: list[bytes]) -> None:
        """One partition's records of epoch.sealed."""
        assembler = SealAssembler()
        for value in sealed:
            made = assembler.feed(decode_record(value))
            if isinstance(made, SealedEpoch):
                self.seals[made.header.encode()] += 1
            elif isinstance(made, Late):
                self.late[made.channel, made.epoch_start_s, made.offset] = made.count
            elif isinstance(made, Closed):
                self.closed.add((made.channel, made.from_s, made.until_s, made.offset, made.closed_by))

    def once(self) -> "Said":
        """The same with every seal counted once."""
        return Said(Counter(dict.fromkeys(self.seals, 1)), self.late, self.closed, self.dead)


async def records_of(log: Log, stream: str, partition: int) -> list[tuple[int, bytes]]:
    """All (offset, value) of one partition."""
    first, end = await log.span(stream, partition)
    return [
        (record.offset, record.value)
        async for batch in read_through(log, stream, partition, first, end)
        for record in batch
    ]


async def expected(log: Log) -> Said:
    """What chat.events, as it lies in the log, must be sealed to."""
    said = Said()
    for partition in range(await log.partitions(CHAT_EVENTS)):
        sealed, dead = fold_directly(await records_of(log, CHAT_EVENTS, partition), partition)
        said.take(sealed)
        said.dead |= set(dead)
    return said


async def found(log: Log) -> Said:
    """What the workers have said."""
    said = Said()
    for partition in range(await log.partitions(EPOCH_SEALED)):
        said.take([value for _, value in await records_of(log, EPOCH_SEALED, partition)])
    said.dead = {value for _, value in await records_of(log, DEAD, 0)}
    return said


def fold_directly(records: list[tuple[int, bytes]], partition: int = 0) -> tuple[list[bytes], list[bytes]]:
    """(epoch.sealed, dead) of one partition, by one shard that nothing ever happens to."""
    shard = Shard(SCHEDULE, PEPPER, records[0][0] if records else 0, partition=partition)
    sealed: list[bytes] = []
    dead: list[bytes] = []
    for offset, value in records:
        shard.skip_to(offset)
        for made in shard.feed(offset, value):
            output = _answered(shard, made, sealed, records) if isinstance(made, ResealRequest) else made
            if output is not None:
                (dead if output.stream == DEAD else sealed).extend(value for _, value in output.records)
                shard.acknowledged(output.ordinal)
    return sealed, dead


def _answered(
    shard: Shard, request: ResealRequest, sealed: list[bytes], records: list[tuple[int, bytes]]
) -> Output | None:
    epoch = (request.channel, request.epoch_start_s)
    known = [
        record
        for record in map(decode_record, sealed)
        if isinstance(record, Seal) and (record.channel, record.epoch_start_s) == epoch
    ]
    revision = next_revision(known, request.offset)
    assert revision is not None
    made = reseal(shard.sealer, request.channel, request.login, epoch[1], revision, records, request.offset)
    return shard.answered(request, made)
