"""What tests of the live collector share: lines as Twitch sends them, an outbound that keeps, and the fold of it."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Envelope, decode
from schemas.parts import SealAssembler
from schemas.policy import DEFAULT_POLICY, Policy, PolicySchedule
from schemas.sealed import SealedEpoch, decode_record
from schemas.streams import EPOCH_SEALED
from streams.collect.live.intake import LiveIntake
from streams.collect.live.port import Suppressed
from streams.collect.live.suppression import Suppression
from streams.core.outputs import Output
from streams.core.shard import Shard

T0_MS = 1_760_000_400_000
"""A full hour in October 2025."""
PEPPER = b"\x07" * 32

Row = tuple[tuple[str, str], int, bytes, int, int]
"""(viewer, at, id, kind, amount)."""


def chat(
    at_ms: int,
    number: int = 0,
    *,
    user: int = 5,
    login: str = "ann",
    room: int = 22,
    channel: str = "chan",
    text: str = "hi",
    end: str = "\r\n",
) -> bytes:
    """A PRIVMSG line; the same at_ms, room and number are the same message."""
    event_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{room}/{at_ms}/{number}")
    return (
        f"@badge-info=;badges=;color=;id={event_id};mod=0;room-id={room};subscriber=0;tmi-sent-ts={at_ms};turbo=0;"
        f"user-id={user};user-type= :{login}!{login}@{login}.tmi.twitch.tv PRIVMSG #{channel} :{text}{end}"
    ).encode()


def rows_of(envelope: Envelope) -> list[Row]:
    """Its events."""
    events = envelope.columns()
    return [
        (events.viewers[w], int(a), i.tobytes(), int(k), int(m))
        for w, a, i, k, m in zip(events.who, events.at, events.ids, events.kind, events.amount, strict=True)
    ]


@dataclass
class Sink:
    """An outbound that keeps what it is given; `room` False: it refuses."""

    room: bool = True
    values: list[bytes] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    def put(self, channel: str, value: bytes, events: int, *, said_to_ms: int | None = None) -> bool:
        envelope = decode(value)
        assert (channel, events) == (envelope.channel, len(envelope.kind))
        assert said_to_ms == (envelope.observed[1] if envelope.observed else None)
        (self.values if self.room else self.refused).append(value)
        return self.room

    def put_dead(self, letter: bytes) -> bool:
        self.dead.append(letter)
        return self.room

    @property
    def envelopes(self) -> list[Envelope]:
        return [decode(value) for value in self.values]

    def rows(self) -> list[Row]:
        """All events, sorted."""
        return sorted(row for envelope in self.envelopes for row in rows_of(envelope))

    def said(self, kind: str = "live", channel: str = "twitch:id:22") -> list[tuple[int, int]]:
        """The union of a channel's intervals of that kind, relative to T0_MS."""
        out: list[tuple[int, int]] = []
        for envelope in self.envelopes:
            if envelope.observed is not None and envelope.observed[2] == kind and envelope.channel == channel:
                out.append((envelope.observed[0] - T0_MS, envelope.observed[1] - T0_MS))
        joined: list[tuple[int, int]] = []
        for start, end in sorted(out):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined


def intake_into(sink: Sink, source: str = "s", *, suppressed: Suppressed | None = None, **given: Any) -> LiveIntake:
    """An Intake on that sink."""
    return LiveIntake(source, sink, Suppression(suppressed) if suppressed else None, **given)


def sealed_of(values: list[bytes], policy: Policy = DEFAULT_POLICY) -> dict[tuple[str, int], SealedEpoch]:
    """The seals of one partition's records, by channel and epoch start (s)."""
    shard = Shard(PolicySchedule.of(policy), PEPPER, 0)
    assembler = SealAssembler()
    seals: dict[tuple[str, int], SealedEpoch] = {}
    for offset, value in enumerate(values):
        for output in shard.feed(offset, value):
            assert isinstance(output, Output)
            if output.stream == EPOCH_SEALED:
                for _, record in output.records:
                    made = assembler.feed(decode_record(record))
                    if isinstance(made, SealedEpoch):
                        seals[made.header.channel, made.header.epoch_start_s] = made
    return seals
