"""What tests of the closer share: a log with a clock of the test's own, closers, and a worker's shard that seals."""

from dataclasses import dataclass, field

from schemas import envelope as envelopes
from schemas.envelope import CoverageKind
from schemas.parts import SealAssembler
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Closed, SealedEpoch, decode_record
from streams.collect.live.closer import Closer, CloserRules
from streams.collect.live.closer import PartitionWatch as Watch
from streams.core.outputs import ResealRequest
from streams.core.resume import Resume
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Append
from tests.memory_log import Memory, MemoryLog

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
T0_MS = 1_767_225_600_000
RULES = CloserRules()
CHANNEL = "twitch:id:1"
DAMAGED = b"\xc1"


@dataclass
class World:
    """A log with a clock of its own, closers whose steady clocks know nothing of it, and a worker's shard."""

    closers: int = 1
    now_ms: int = T0_MS
    skew_ms: int = 987_654_321
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self.log = MemoryLog(1)
        self.log._clock_ms = lambda: self.now_ms
        self.started = 0
        self.running: list[tuple[Closer, Watch]] = []
        self.at: list[int] = []
        for _ in range(self.closers):
            self.start()
        self.shard = Shard(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, 0, Resume(0, 3600))
        self.seals: list[SealedEpoch] = []
        self.closed: list[Closed] = []
        self.seqs: dict[str, int] = {}

    def start(self) -> None:
        self.started += 1
        name = f"t{self.started}"
        closer = Closer(self.log, name, RULES, steady_ms=lambda: self.now_ms - self.skew_ms)
        self.running.append((closer, Watch(0, f"closer/{name}", RULES, closer.counters)))
        self.at.append(0)

    async def collect(
        self, start_ms: int, end_ms: int, kind: CoverageKind = "live", channel: str = CHANNEL, source: str = "c1"
    ) -> None:
        seq = self.seqs[source + channel] = self.seqs.get(source + channel, -1) + 1
        value = envelopes.encode("tick", channel, "chan", source, seq, (start_ms, end_ms, kind))
        await self.log.append(CHAT_EVENTS, [Append(0, channel.encode(), value)])

    async def turn(self) -> None:
        """Every closer reads to the end and sweeps, one after the other; then the worker works."""
        for number, (closer, watch) in enumerate(self.running):
            while self.at[number] < len(self.log.records(CHAT_EVENTS)):
                self.at[number] = await closer.step(watch, 0, self.at[number])
            assert await closer.sweep(watch, 0, self.at[number])
        self.work()

    def work(self) -> None:
        assembler = SealAssembler()
        for record in self.log.records(CHAT_EVENTS)[self.shard.next :]:
            for output in self.shard.feed(record.offset, record.value):
                self.shard.acknowledged(output.ordinal)
                if isinstance(output, ResealRequest) or output.stream != EPOCH_SEALED:
                    continue
                for _, value in output.records:
                    made = assembler.feed(decode_record(value))
                    if isinstance(made, SealedEpoch):
                        self.seals.append(made)
                    elif isinstance(made, Closed):
                        self.closed.append(made)

    def said(self) -> list[envelopes.Envelope]:
        """What closers said."""
        found = [envelopes.decode(record.value) for record in self.log.records(CHAT_EVENTS) if record.value != DAMAGED]
        return [one for one in found if one.source.startswith("closer/")]

    async def pass_time(self, ms: int, step_ms: int = MINUTE_MS) -> None:
        for _ in range(0, ms, step_ms):
            self.now_ms += step_ms
            await self.turn()


async def live(world: World, minutes: int) -> None:
    """A collector that ticks twice a minute."""
    for _ in range(minutes * 2):
        world.now_ms += MINUTE_MS // 2
        await world.collect(world.now_ms - MINUTE_MS // 2 - 1000, world.now_ms - 1000)


async def watched(world: World, minutes: int) -> None:
    """The same, and everybody keeps up."""
    for _ in range(minutes):
        await live(world, 1)
        await world.turn()


async def missed(world: World, minutes: int) -> tuple[int, int]:
    """Nobody hears the channel for so long, then a collector begins that knows nothing of the time before."""
    world.now_ms += minutes * MINUTE_MS
    return world.now_ms - minutes * MINUTE_MS - 1000, world.now_ms - 1000
