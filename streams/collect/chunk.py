"""A chunk: what one bounded piece of an input was read into. Readers make chunks; replay and load fold them.

In: events, skips and faults of single lines, by line number. Out: columns per channel, counters, dead lines, and the
rows whose id depends on how often the same line came before in its input (`derived_ids` settles those, in input order).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.columns import EventColumns
from streams.collect.twitch import Event, derived_id

EVENTS: Final = "events"
BLANK_LINES: Final = "blank_lines"
MALFORMED: Final = "malformed"
MAX_LINE_BYTES: Final = 64 * 1024
"""A longer line is dead; IRC with tags allows 8,703 bytes."""
LINE_TOO_LONG: Final = f"line is longer than {MAX_LINE_BYTES} bytes"


class DeadLine(NamedTuple):
    """A line that could not be read: its number (from 1), why, blake3 (hex) and length in bytes. Never its text."""

    line_number: int
    reason: str
    hash: str
    length: int


def dead_line(line_number: int, reason: str, line: bytes) -> DeadLine:
    """The dead letter of a line given without its end."""
    return DeadLine(line_number, reason, blake3(line).hexdigest(), len(line))


class PendingId(NamedTuple):
    """A row whose id is the derived id for no earlier identical line, until `derived_ids` has looked.

    raw is the line with its time stamp and without its end; it is dropped with the chunk.
    """

    line_number: int
    channel: str
    row: int
    raw: bytes


@dataclass(slots=True)
class Chunk:
    """One piece of one input. Line numbers count from `first_line_number`, which is 1 at a range's or file's start.
    broken: at its last dead line the input could be read no further. bytes_read: of the input, packed as it is."""

    first_line_number: int
    lines: int
    bytes_read: int = 0
    channels: dict[str, tuple[str, EventColumns]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    dead: list[DeadLine] = field(default_factory=list)
    pending: list[PendingId] = field(default_factory=list)
    broken: bool = False

    def renumbered(self, lines_before: int) -> "Chunk":
        """The same chunk of a range that starts after so many lines of its file."""
        return replace(
            self,
            first_line_number=self.first_line_number + lines_before,
            dead=[d._replace(line_number=d.line_number + lines_before) for d in self.dead],
            pending=[p._replace(line_number=p.line_number + lines_before) for p in self.pending],
        )


def broken_off(line_number: int, reason: str) -> Chunk:
    """A chunk that only says that, and why, its piece could not be read from that line on."""
    return Chunk(
        line_number, 1, counts=Counter({MALFORMED: 1}), dead=[dead_line(line_number, reason, b"")], broken=True
    )


class Rows:
    """Collects single events by line number; the slow side of every reader, and the whole of the simple ones."""

    def __init__(self) -> None:
        self.channels: dict[str, _ChannelRows] = {}

    def add(self, line_number: int, event: Event, raw: bytes) -> None:
        """raw: the line with its time stamp, no line end; used where the event has no id of its own."""
        channel, channel_login, at_ms, event_id, kind, viewer, login, amount = event
        rows = self.channels.get(channel)
        if rows is None:
            rows = self.channels[channel] = _ChannelRows()
        rows.login = channel_login
        if event_id is None:
            rows.pending.append((len(rows.records), raw))
            event_id = derived_id(raw, 0)
        who = rows.viewers.setdefault((viewer, login), len(rows.viewers))
        rows.records.append((line_number, at_ms, event_id, kind, who, amount))

    def last_logins(self) -> dict[str, tuple[int, str]]:
        """Each channel's last line number and its login there."""
        return {channel: (rows.records[-1][0], rows.login) for channel, rows in self.channels.items()}


class _ChannelRows:
    """Records are (line number, at, id, kind, who, amount)."""

    __slots__ = ("login", "pending", "records", "viewers")

    def __init__(self) -> None:
        self.login = ""
        self.viewers: dict[tuple[str, str], int] = {}
        self.records: list[tuple[int, int, bytes, int, int, int]] = []
        self.pending: list[tuple[int, bytes]] = []

    def part(self) -> "Part":
        """These rows as columns with their line numbers."""
        line_numbers, at, ids, kind, who, amount = zip(*self.records, strict=True)
        return Part(
            np.array(line_numbers, np.int64),
            self.login,
            EventColumns(
                list(self.viewers),
                np.array(at, np.int64),
                np.frombuffer(bytearray().join(ids), np.uint8).reshape(-1, 16),
                np.array(kind, np.uint8),
                np.array(who, np.uint32),
                np.array(amount, np.uint32),
            ),
            self.pending,
        )


class Part(NamedTuple):
    """Columns of one channel with the line number of each row; pending: (row, raw) in row order."""

    line_numbers: NDArray[np.int64]
    login: str
    events: EventColumns
    pending: Sequence[tuple[int, bytes]]


def assemble(chunk: Chunk, rows: Rows, fast: dict[str, Part] | None = None) -> Chunk:
    """Fill chunk's channels and pending from the slow rows and the fast parts, in line order."""
    fast = fast or {}
    for channel in sorted(fast.keys() | rows.channels.keys()):
        parts = [part for part in (fast.get(channel),) if part is not None]
        if channel in rows.channels:
            parts.append(rows.channels[channel].part())
        part = parts[0] if len(parts) == 1 else _merged(*parts)
        chunk.channels[channel] = (part.login, part.events)
        chunk.counts[EVENTS] += len(part.events)
        if part.pending:
            line_numbers = part.line_numbers.tolist()
            chunk.pending.extend(PendingId(line_numbers[row], channel, row, raw) for row, raw in part.pending)
    chunk.pending.sort()
    if chunk.dead:
        chunk.dead.sort()
        chunk.counts[MALFORMED] += len(chunk.dead)
    return chunk


def _merged(first: Part, second: Part) -> Part:
    """Two parts of one channel in line order."""
    a, b = first.events, second.events
    viewers = {pair: index for index, pair in enumerate(a.viewers)}
    moved = np.array([viewers.setdefault(pair, len(viewers)) for pair in b.viewers], np.uint32)
    line_numbers = np.concatenate((first.line_numbers, second.line_numbers))
    order = np.argsort(line_numbers, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    events = EventColumns(
        list(viewers),
        np.concatenate((a.at, b.at))[order],
        np.concatenate((a.ids, b.ids))[order],
        np.concatenate((a.kind, b.kind))[order],
        np.concatenate((a.who, moved[b.who]))[order],
        np.concatenate((a.amount, b.amount))[order],
    )
    pending = [(int(place[row]), raw) for row, raw in first.pending]
    pending += [(int(place[row + len(a)]), raw) for row, raw in second.pending]
    login = first.login if first.line_numbers[-1] > second.line_numbers[-1] else second.login
    return Part(line_numbers[order], login, events, sorted(pending))
