"""Events of many channels, as they come, until they are cut into batches of one channel each. Between lines and claims.

Single events wait as lists per channel, blocks of ordinary lines as the columns that `fast_irc` made of them; `take`
gives both as EventColumns of at most MAX_EVENTS events, and starts anew. Rows of one channel keep no order: the fold
needs none.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from schemas.columns import MESSAGE, EventColumns
from schemas.envelope import MAX_EVENTS
from schemas.identity import ID_PREFIX
from streams.collect.cutting import window
from streams.collect.fast_irc import Block, FastRows
from streams.collect.fast_viewers import viewers_of
from streams.collect.twitch import Event, derived_id


class Batch(NamedTuple):
    """At most MAX_EVENTS events of one channel."""

    channel: str
    login: str
    events: EventColumns


class Pending:
    """Events that wait for the next flush; `rows` says how many."""

    def __init__(self) -> None:
        self.rows = 0
        self._single: dict[str, _Rows] = {}
        self._blocks: list[tuple[Block, FastRows]] = []

    def add(self, event: Event, line: bytes) -> None:
        """One event; line: as received, without its end. Where the event has no id the line is its id: the same line
        again, over another connection or from another collector, is the same event."""
        channel, channel_login, at_ms, event_id, kind, viewer, login, amount = event
        rows = self._single.get(channel)
        if rows is None:
            rows = self._single[channel] = _Rows()
        rows.login = channel_login
        viewers = rows.viewers
        rows.at.append(at_ms)
        rows.ids.append(event_id or derived_id(line, 0))
        rows.kind.append(kind)
        rows.who.append(viewers.setdefault((viewer, login), len(viewers)))
        rows.amount.append(amount)
        self.rows += 1

    def add_block(self, block: Block, fast: FastRows) -> None:
        """The ordinary lines of a block."""
        self._blocks.append((block, fast))
        self.rows += len(fast.lines)

    def take(self) -> Iterator[Batch]:
        """All that waits, channel by channel. Nothing may be added before it is exhausted."""
        single, self._single = self._single, {}
        blocks, self._blocks = self._blocks, []
        self.rows = 0
        if blocks:  # first, so that who said something is known when its deletion comes
            yield from _batches_of(blocks)
        for channel, rows in single.items():
            yield from rows.batches(channel)


class _Rows:
    """Single events of one channel."""

    __slots__ = ("amount", "at", "ids", "kind", "login", "viewers", "who")

    def __init__(self) -> None:
        self.login = ""
        self.viewers: dict[tuple[str, str], int] = {}
        self.at: list[int] = []
        self.ids: list[bytes] = []
        self.kind: list[int] = []
        self.who: list[int] = []
        self.amount: list[int] = []

    def batches(self, channel: str) -> Iterator[Batch]:
        events = EventColumns(
            list(self.viewers),
            np.array(self.at, np.int64),
            np.frombuffer(b"".join(self.ids), np.uint8).reshape(-1, 16),
            np.array(self.kind, np.uint8),
            np.array(self.who, np.uint32),
            np.array(self.amount, np.uint32),
        )
        if len(events) <= MAX_EVENTS:
            yield Batch(channel, self.login, events)
            return
        for start in range(0, len(events), MAX_EVENTS):
            yield Batch(channel, self.login, window(events, start, start + MAX_EVENTS))


def _batches_of(blocks: list[tuple[Block, FastRows]]) -> Iterator[Batch]:
    """The rows of these blocks by channel."""
    parts = [fast for _, fast in blocks]
    room = np.concatenate([fast.rooms[fast.room] for fast in parts])
    at = np.concatenate([fast.at for fast in parts])
    ids = np.concatenate([fast.ids for fast in parts])
    user = np.concatenate([fast.user for fast in parts])
    login = np.concatenate([fast.login for fast in parts])
    amount = np.concatenate([fast.amount for fast in parts])
    first_rows = np.cumsum([0] + [len(fast.lines) for fast in parts])
    order = np.argsort(room, kind="stable")
    cuts = np.flatnonzero(np.diff(room[order])) + 1
    for rows in np.split(order, cuts):
        last = int(rows[-1])
        index = int(np.searchsorted(first_rows, last, "right")) - 1
        block, fast = blocks[index]
        line = last - int(first_rows[index])
        name = block.bytes[fast.channel_start[line] : fast.channel_end[line]].tobytes().lower().decode()
        channel = f"{ID_PREFIX}{room[last]}"
        for start in range(0, len(rows), MAX_EVENTS):
            part = rows[start : start + MAX_EVENTS]
            viewers, who = viewers_of(user[part], login[part])
            yield Batch(
                channel,
                name,
                EventColumns(
                    viewers, at[part], ids.take(part, axis=0), np.full(len(part), MESSAGE, np.uint8), who, amount[part]
                ),
            )
