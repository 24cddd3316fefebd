"""Columns of one channel into envelopes for `chat.events`. After the readers, before the log.

An envelope holds at most MAX_EVENTS events and only the viewers they name.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from schemas.columns import EventColumns
from schemas.envelope import MAX_EVENTS, encode


class Ready(NamedTuple):
    """An envelope to append: its key is the channel's identity."""

    key: bytes
    value: bytes
    events: int


class Cutter:
    """Collects events per channel for one source (producer session) and cuts full envelopes off; `seq` counts the
    source's envelopes of a channel from 0. Holds less than MAX_EVENTS events a channel between calls."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._waiting: dict[str, list[EventColumns]] = {}
        self._seq: dict[str, int] = {}
        self._logins: dict[str, str] = {}

    def add(self, channel: str, login: str, events: EventColumns) -> Iterator[Ready]:
        """Take in events; gives the envelopes that are full."""
        self._logins[channel] = login
        parts = self._waiting.pop(channel, [])
        parts.append(events)
        total = sum(map(len, parts))
        if total < MAX_EVENTS:
            self._waiting[channel] = parts
            return
        joined = join(parts)
        whole = total - total % MAX_EVENTS
        for start in range(0, whole, MAX_EVENTS):
            yield self._ready(channel, window(joined, start, start + MAX_EVENTS))
        if whole < total:
            self._waiting[channel] = [window(joined, whole, total)]

    def rest(self) -> Iterator[Ready]:
        """What is left of every channel."""
        for channel, parts in self._waiting.items():
            yield self._ready(channel, join(parts))
        self._waiting.clear()

    def ends(self) -> Iterator[Ready]:
        """After everything else: for every channel the record that its input ended, which closes its epochs."""
        for channel, seq in self._seq.items():
            yield Ready(channel.encode(), encode("end", channel, self._logins[channel], self._source, seq), 0)

    def _ready(self, channel: str, events: EventColumns) -> Ready:
        seq = self._seq.get(channel, 0)
        self._seq[channel] = seq + 1
        value = encode("events", channel, self._logins[channel], self._source, seq, None, events)
        return Ready(channel.encode(), value, len(events))


def join(parts: list[EventColumns]) -> EventColumns:
    """Batches of one channel as one, in order."""
    if len(parts) == 1:
        return parts[0]
    viewers: dict[tuple[str, str], int] = {}
    who = []
    for part in parts:
        numbers = np.fromiter((viewers.setdefault(pair, len(viewers)) for pair in part.viewers), np.uint32)
        who.append(numbers[part.who])
    return EventColumns(
        list(viewers),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate(who),
        np.concatenate([part.amount for part in parts]),
    )


def window(events: EventColumns, start: int = 0, end: int | None = None) -> EventColumns:
    """Rows [start, end), or all, with only the viewers they name."""
    used, who = np.unique(events.who[start:end], return_inverse=True)
    viewers = events.viewers
    return EventColumns(
        [viewers[index] for index in used.tolist()],
        events.at[start:end],
        events.ids[start:end],
        events.kind[start:end],
        who.astype(np.uint32),
        events.amount[start:end],
    )
