"""Simulated chat as a collector would put it onto the log: envelopes with what was observed. After `chat`.

The events are those that reading the lines gives (`streams.collect.twitch`), made without the lines.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import columns, identity
from schemas.columns import EventColumns
from schemas.envelope import MAX_EVENTS, CoverageKind, Type, encode
from streams.collect.cutting import join, window
from streams.collect.simulation import chat
from streams.collect.simulation.chat import ChatStep, Simulation
from streams.collect.simulation.lines import LineWriter
from streams.collect.simulation.people import EVERYBODY, person
from streams.collect.twitch import derived_id

OBSERVED_MS: Final = 10_000
"""Simulated time from one observation of a channel to the next, 10 s as the steps are."""
NO_EVENT: Final = 255
EVENT_KINDS: Final[NDArray[np.uint8]] = np.full(chat.COPY + 1, columns.NOTICE, np.uint8)
for _kind, _event in (
    (chat.MESSAGE, columns.MESSAGE),
    (chat.ACTION, columns.MESSAGE),
    (chat.REPLY, columns.MESSAGE),
    (chat.CHEER, columns.MESSAGE),
    (chat.SUB, columns.SUB),
    (chat.RESUB, columns.RESUB),
    (chat.GIFT, columns.GIFT),
    (chat.RAID, columns.RAID),
    (chat.BAN, columns.BAN),
    (chat.DELETION, columns.DELETION),
    (chat.ROOM_CLEAR, NO_EVENT),
    (chat.COPY, NO_EVENT),
):
    EVENT_KINDS[_kind] = _event

Hole = tuple[int, int]
"""[from_ms, to_ms) in which the collector was away."""


class Simulated(NamedTuple):
    """One envelope: its channel's identity as key; made when its collector stood at until_ms."""

    key: bytes
    value: bytes
    events: int
    until_ms: int


class Envelopes:
    """A collector of one simulation from start_ms on. holes: of a channel's number, when nobody observed it; it is
    declared absent at its end."""

    def __init__(self, simulation: Simulation, start_ms: int, holes: Mapping[int, Hole] | None = None) -> None:
        self._simulation = simulation
        self._source = f"simulator:{simulation.seed}:{start_ms}"
        self._writer = LineWriter(simulation)
        self._holes = holes or {}
        self._from_ms = start_ms
        self._seq = [0] * simulation.channels
        self._said: dict[int, list[EventColumns]] = {}

    def run(self, start_ms: int, end_ms: int) -> Iterator[Simulated]:
        """All envelopes of [start_ms, end_ms); start_ms is where this collector stands."""
        step_ms = self._simulation.step_ms
        for number, step in enumerate(self._simulation.run(start_ms, end_ms), 1):
            for channel, events in self.events(step).items():
                hole = self._holes.get(channel, (0, 0))
                heard = (step.arrival[0] < hole[0]) | (step.arrival[0] >= hole[1])
                if heard:
                    self._said.setdefault(channel, []).append(events)
            now_ms = min(start_ms + number * step_ms, end_ms)
            if now_ms - self._from_ms >= OBSERVED_MS or now_ms == end_ms:
                yield from self._observed(now_ms)

    def events(self, step: ChatStep) -> dict[int, EventColumns]:
        """The events of a step by their channel's number, in order of arrival."""
        kind = EVENT_KINDS[step.kind]
        rows = np.flatnonzero(kind != NO_EVENT)
        rows = rows[np.argsort(step.channel[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(step.channel[rows])) + 1
        return {int(step.channel[part[0]]): self._columns(step, part) for part in np.split(rows, cuts) if len(part)}

    def _columns(self, step: ChatStep, rows: NDArray[np.intp]) -> EventColumns:
        part = step.take(rows)
        ids = part.ids.copy()
        # Whose deletion it is Twitch says by login alone, so that is another identity.
        speaker = part.who + EVERYBODY * (part.kind == chat.DELETION)
        for row in np.flatnonzero(np.isin(part.kind, chat.WITHOUT_ID)).tolist():
            raw = self._writer.line(part, row).removesuffix(b"\r\n")
            ids[row] = np.frombuffer(derived_id(raw, 0), np.uint8)
        amount = np.where((part.kind == chat.CHEER) | (part.kind == chat.RAID), part.amount, 0)
        numbers, who = np.unique(speaker, return_inverse=True)
        return EventColumns(
            [_viewer(number) for number in numbers.tolist()],
            part.at,
            ids,
            EVENT_KINDS[part.kind],
            who.astype(np.uint32),
            amount.astype(np.uint32),
        )

    def _observed(self, now_ms: int) -> Iterator[Simulated]:
        """What the collector says of the time since it last said something."""
        from_ms, self._from_ms = self._from_ms, now_ms
        said, self._said = self._said, {}
        for channel in range(self._simulation.channels):
            hole = self._holes.get(channel, (0, 0))
            if hole[0] <= from_ms < hole[1]:
                if now_ms >= hole[1]:
                    yield self._envelope(channel, None, (hole[0], hole[1], "absent"))
                continue
            events = join(said[channel]) if channel in said else None
            count = 0 if events is None else len(events)
            starts = list(range(0, count, MAX_EVENTS)) or [0]
            for start in starts:
                part = None if events is None else window(events, start, start + MAX_EVENTS)
                yield self._envelope(channel, part, (from_ms, now_ms, "live") if start == starts[-1] else None)

    def _envelope(
        self, channel: int, events: EventColumns | None, observed: tuple[int, int, CoverageKind] | None
    ) -> Simulated:
        name, login = self._simulation.channel(channel)
        kind: Type = "tick" if events is None else "events"
        value = encode(kind, name, login, self._source, self._seq[channel], observed, events)
        self._seq[channel] += 1
        return Simulated(name.encode(), value, 0 if events is None else len(events), self._from_ms)


def _viewer(number: int) -> tuple[str, str]:
    writer = person(number % EVERYBODY)
    if number >= EVERYBODY:
        return identity.LOGIN_PREFIX + writer.login, writer.login
    return f"{identity.ID_PREFIX}{writer.user_id}", writer.login
