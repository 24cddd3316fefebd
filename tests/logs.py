"""Hypothesis strategies for small logs of one partition, and a runner that crashes as told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from schemas.columns import EventColumns
from schemas.envelope import CoverageKind, encode
from schemas.parts import SealAssembler
from schemas.policy import Policy, PolicySchedule, Weights
from schemas.sealed import Closed, Late, Seal, SealedEpoch, decode_record
from streams.core.outputs import Output, ResealRequest
from streams.core.reseal import next_revision, reseal
from streams.core.resume import Resume
from streams.core.shard import Shard

PEPPER = b"\x11" * 32
T0 = 1_760_000_400_000
LENGTH_MS = 10_000
POLICY = Policy(
    version=1,
    epoch_length_s=10,
    grace_s=2,
    horizon_s=60,
    weights_centi=Weights(presence=100, sub=1000, resub=1000, gift=500, bit=1, raid_viewer=10),
    base_units_per_centi=800_000_000,
    excluded_logins=("nightbot",),
)
SCHEDULE = PolicySchedule.of(POLICY)
CHANGED: list[tuple[int, Policy]] = [
    (0, msgspec.structs.replace(POLICY, grace_s=17)),
    (
        T0 // 1000 + 10,
        Policy(
            version=2,
            epoch_length_s=10,
            grace_s=0,
            horizon_s=60,
            weights_centi=Weights(presence=1, sub=0, resub=7, gift=500, bit=3, raid_viewer=10**6),
            base_units_per_centi=1,
            excluded_logins=("anna", "bob"),
        ),
    ),
]
"""Policies that change in mid-stream: other weights, others left out, and a grace so much shorter that the watermark of
a later epoch is reached before that of an earlier one."""
CHANNELS = ("twitch:id:1", "twitch:login:two")
VIEWERS = [
    ("twitch:id:7", "ann"),
    ("twitch:id:8", "bob"),
    ("twitch:id:7", "anna"),
    ("twitch:login:cé", "cé"),
    ("twitch:id:9", "nightbot"),
    ("twitch:id:274598607", "ananonymousgifter"),
]


@dataclass(frozen=True)
class Event:
    """One event of a test log."""

    at: int
    id: int
    kind: int = 0
    who: int = 0
    amount: int = 0


def events_of(events: Sequence[Event]) -> EventColumns:
    """Columns of these events."""
    return EventColumns(
        VIEWERS,
        np.array([event.at for event in events], np.int64),
        np.frombuffer(b"".join(event.id.to_bytes(16, "big") for event in events), np.uint8).reshape(-1, 16),
        np.array([event.kind for event in events], np.uint8),
        np.array([event.who for event in events], np.uint32),
        np.array([event.amount for event in events], np.uint32),
    )


def envelope(
    channel: str, events: Sequence[Event], observed: tuple[int, int, CoverageKind] | None, seq: int = 0
) -> bytes:
    """An events or tick record."""
    return encode(
        "events" if events else "tick", channel, "a", "s", seq, observed, events_of(events) if events else None
    )


times = st.integers(-12_000, 45_000).map(lambda ms: T0 + ms)
ids = st.integers(0, 40) | st.integers(0, 3).map(lambda low: (5 << 64) + low)
event = st.builds(
    Event,
    times,
    ids,
    st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7]),
    st.integers(0, 5),
    st.sampled_from([0, 0, 5, 100]),
)
wild = st.builds(Event, st.sampled_from([1_300_000_000_000, 4_102_444_799_999]), ids)


@st.composite
def observations(draw: st.DrawFn) -> tuple[int, int, CoverageKind]:
    """An interval near the test's time."""
    start = draw(times)
    length = draw(st.integers(1, 15_000))
    kinds: tuple[CoverageKind, ...] = ("live", "live", "recovered", "absent")
    return start, start + length, draw(st.sampled_from(kinds))


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Any well-formed record."""
    channel = draw(st.sampled_from(CHANNELS))
    form = draw(st.sampled_from(["events"] * 6 + ["tick"] * 3 + ["reseal", "end"]))
    if form == "reseal":
        start = T0 + draw(st.integers(-1, 4)) * LENGTH_MS + draw(st.sampled_from([0] * 7 + [1]))
        length = LENGTH_MS * draw(st.sampled_from([1] * 7 + [2]))
        return encode("reseal", channel, "a", "s", 0, (start, start + length, "absent"))
    if form == "end":
        return encode("end", channel, "a", "s", 0, draw(st.none() | observations()))
    if form == "tick":
        return encode("tick", channel, "a", "s", 0, draw(observations()))
    return envelope(channel, draw(st.lists(event | wild, min_size=1, max_size=6)), draw(st.none() | observations()))


def _bent(record: bytes, place: int, value: Any) -> bytes:
    fields = msgspec.msgpack.decode(record)
    fields[place:] = [value, *fields[place + 1 :]]
    return msgspec.msgpack.encode(fields)


VIEWERS_PLACE = 7
BENT: list[tuple[int, Any]] = [
    (0, 0),
    (0, 2),
    (1, "other"),
    (3, "a\0"),
    (5, 1.5),
    (6, [T0, T0, "live"]),
    (6, [T0 + 1, T0, "live"]),
    (6, [T0, T0 + 31 * 86_400_000 + 1, "absent"]),
    (VIEWERS_PLACE, [["twitch-id:7", "ann"], *VIEWERS[1:]]),
    (VIEWERS_PLACE, [*VIEWERS[:5], ["twitch:login:a\0", "a"]]),
    (VIEWERS_PLACE, [*VIEWERS[:5], ["twitch:id:7", "a\0"]]),
    (VIEWERS_PLACE, [*VIEWERS[:5], ["twitch:id:7"]]),
    (VIEWERS_PLACE, [*VIEWERS[:5], ["twitch:id:7", b"\xff"]]),
    (VIEWERS_PLACE, []),
    (8, b""),
    (10, b"\x08"),
    (13, "one more"),
]
"""Fields of an envelope, by their place, as no well-formed one has them (some only where it bears events)."""


@st.composite
def any_records(draw: st.DrawFn) -> bytes:
    """Any record of one of the channels, one in five of them bent."""
    record = draw(records())
    if draw(st.integers(0, 4)):
        return record
    place, value = draw(st.sampled_from(BENT))
    return _bent(record, place, value)


@dataclass
class World:
    """What outlives a worker: the log, what was appended to epoch.sealed and dead, the committed offset."""

    log: list[bytes]
    schedule: PolicySchedule = SCHEDULE
    sealed: list[bytes] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    committed: int = 0
    noted: int = 0
    """From where on epoch.sealed is enough to read."""
    unsaid: list[tuple[int, bytes]] = field(default_factory=list)
    lost_by: list[Shard] = field(default_factory=list)
    stuck: list[Shard] = field(default_factory=list)
    through: int = 0
    quarantined: int = 0

    def start(self, *, summarise: bool = False) -> Shard:
        """A worker's shard, from the committed offset and what epoch.sealed says; as streams.runner.driver does."""
        resume = self._gather(self.noted)
        if not resume.knows_before(self.noted):
            resume = self._gather(0)
        if summarise:
            self.unsaid.append((len(self.sealed), resume.summary(len(self.sealed))))
        return Shard(self.schedule, PEPPER, self.committed, resume)

    def say_summaries(self) -> None:
        """The workers that owe a summary say it now, however old it is."""
        for through, summary in self.unsaid:
            self.sealed.append(summary)
            self.noted = through
        self.unsaid.clear()

    def _gather(self, start: int) -> Resume:
        resume = Resume(self.committed, POLICY.epoch_length_s)
        for value in self.sealed[start:]:
            resume.feed(value)
        return resume

    def step(self, shard: Shard, *, acknowledge: bool = True, lose: bool = False) -> None:
        """Feed the next record and append what comes back; acknowledge False: the worker dies before it hears; lose:
        the records never reach the log, though later ones may."""
        offset = shard.next
        before = shard.metrics.quarantined_events_total
        for output in shard.feed(offset, self.log[offset]):
            if isinstance(output, ResealRequest) and shard in self.lost_by:
                self.stuck.append(shard)  # a request waits until everything before it is durable, the rest behind it
            if lose or shard in self.stuck:
                self.lost_by.append(shard)
                continue
            made = self._answer(shard, output) if isinstance(output, ResealRequest) else output
            if made is None:
                continue
            (self.sealed if made.stream == "epoch.sealed" else self.dead).extend(value for _, value in made.records)
            if acknowledge:
                shard.acknowledged(made.ordinal)
        if shard.next > self.through:
            self.through = shard.next
            self.quarantined += shard.metrics.quarantined_events_total - before

    def _answer(self, shard: Shard, request: ResealRequest) -> Output | None:
        known = [
            record
            for record in map(decode_record, self.sealed)
            if isinstance(record, Seal)
            and (record.channel, record.epoch_start_s) == (request.channel, request.epoch_start_s)
        ]
        revision = next_revision(known, request.offset)
        if revision is None:
            return shard.answered(request, None)
        made = reseal(
            shard.sealer,
            request.channel,
            request.login,
            request.epoch_start_s,
            revision,
            enumerate(self.log),
            request.offset,
        )
        return shard.answered(request, made)

    def seals(self) -> dict[tuple[str, int, int], SealedEpoch]:
        """Every seal by (channel, epoch, revision); the same one said twice must be the same."""
        out: dict[tuple[str, int, int], SealedEpoch] = {}
        assembler = SealAssembler()
        for value in self.sealed:
            made = assembler.feed(decode_record(value))
            if isinstance(made, SealedEpoch):
                header = made.header
                known = out.setdefault((header.channel, header.epoch_start_s, header.revision), made)
                assert known.header == header, f"two seals of {header.channel} at {header.epoch_start_s}"
        return out

    def late(self) -> dict[tuple[str, int, int], int]:
        """Late events by (channel, epoch, offset)."""
        notices = [record for record in map(decode_record, self.sealed) if isinstance(record, Late)]
        return {(late.channel, late.epoch_start_s, late.offset): late.count for late in notices}

    def closings(self) -> list[Closed]:
        """Notices of epochs closed without a seal."""
        return [record for record in map(decode_record, self.sealed) if isinstance(record, Closed)]


def run_through(log: list[bytes], schedule: PolicySchedule = SCHEDULE) -> World:
    """One worker that never dies."""
    world = World(log, schedule)
    shard = world.start()
    while shard.next < len(log):
        world.step(shard)
    return world
