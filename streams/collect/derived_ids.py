"""Settles the ids of events that have none: how often did the same line come before in this input? After the readers.

In: the chunks of one input, in input order. Out: the same chunks, ids in place. Identical lines bear the same time, so
only what overlaps in time is compared; what exceeds the memory bound lies sorted in an unnamed temporary file.
"""

import tempfile
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.collect.chunk import Chunk
from streams.collect.spilling import spilling
from streams.collect.twitch import derived_id

MAX_RECENT_LINES: Final = 262_144
"""Lines kept in memory as a table, about 40 MB; older ones become a run of 20 bytes a line on disk."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines put by: keys (n,) S16 ascending, how often each came by then (n,) u32, and the span of their times."""

    keys: NDArray[np.bytes_]
    counts: NDArray[np.uint32]
    min_at_ms: int
    max_at_ms: int


class DerivedIds:
    """Counts identical lines of one input. One instance an input; `settle` takes its chunks in order.

    A line's key is its derived id for no earlier one (16 bytes of blake3); `repeated_lines` counts those with another.
    """

    def __init__(self, max_recent_lines: int = MAX_RECENT_LINES) -> None:
        self.repeated_lines = 0
        self._max_recent_lines = max_recent_lines
        self._recent: dict[bytes, int] = {}
        self._min_at_ms, self._max_at_ms = 2**63 - 1, 0
        self._runs: list[_Run] = []

    def settle(self, chunk: Chunk) -> Chunk:
        """Put the final ids into chunk's columns and empty its pending list. Returns chunk. Raises SpillError."""
        if not chunk.pending:
            return chunk
        ids_of = {channel: events.ids for channel, (_, events) in chunk.channels.items()}
        all_keys = {channel: ids.tobytes() for channel, ids in ids_of.items()}
        keys = [all_keys[channel][16 * row : 16 * row + 16] for _, channel, row, _ in chunk.pending]
        # The span of all rows of these channels is a little wider than that of the pending ones, which does no harm.
        waiting = {pending.channel for pending in chunk.pending}
        lowest = min(int(chunk.channels[channel][1].at.min()) for channel in waiting)
        highest = max(int(chunk.channels[channel][1].at.max()) for channel in waiting)
        self._recall(keys, lowest, highest)
        self._min_at_ms, self._max_at_ms = min(self._min_at_ms, lowest), max(self._max_at_ms, highest)
        counts = self._recent
        for key, pending in zip(keys, chunk.pending, strict=True):
            earlier = counts.get(key, 0)
            counts[key] = earlier + 1
            if earlier:
                self.repeated_lines += 1
                final = derived_id(pending.raw, earlier)
                ids_of[pending.channel][pending.row] = np.frombuffer(final, np.uint8)
        chunk.pending.clear()
        if len(counts) > self._max_recent_lines:
            self._put_by()
        return chunk

    def _recall(self, keys: list[bytes], lowest_at_ms: int, highest_at_ms: int) -> None:
        """Bring back the counts of lines put by that may be among keys; the newest run knows best."""
        runs = [r for r in reversed(self._runs) if r.min_at_ms <= highest_at_ms and lowest_at_ms <= r.max_at_ms]
        if not runs:
            return
        wanted = np.array([key for key in keys if key not in self._recent], "S16")
        for run in runs:
            places = np.minimum(np.searchsorted(run.keys, wanted), len(run.keys) - 1)
            for hit in np.flatnonzero(run.keys[places] == wanted).tolist():
                key = bytes(wanted[hit]).ljust(16, b"\0")  # numpy drops trailing zeros
                self._recent.setdefault(key, int(run.counts[places[hit]]))

    def _put_by(self) -> None:
        keys = np.array(list(self._recent), "S16")
        counts = np.array(list(self._recent.values()), np.uint32)
        order = np.argsort(keys)
        self._runs.append(_Run(_on_disk(keys[order]), _on_disk(counts[order]), self._min_at_ms, self._max_at_ms))
        self._recent = {}
        self._min_at_ms, self._max_at_ms = 2**63 - 1, 0


def split_pending(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """The chunk without the rows whose id is pending, and a chunk of those alone.

    For ranges of one file read at the same time: the first may be folded at once, the second is kept until the ranges
    before it are done, renumbered, settled in order, and folded then. Lines and counters stay with the first.
    """
    if not chunk.pending:
        return chunk, Chunk(chunk.first_line_number, 0)
    rows_of: dict[str, list[int]] = {}
    moved = []
    for pending in chunk.pending:
        rows = rows_of.setdefault(pending.channel, [])
        moved.append(pending._replace(row=len(rows)))
        rows.append(pending.row)
    settled, waiting = replace(chunk, channels=dict(chunk.channels), pending=[]), Chunk(chunk.first_line_number, 0)
    for channel, rows in rows_of.items():
        login, events = chunk.channels[channel]
        keep = np.ones(len(events), np.bool_)
        keep[rows] = False
        waiting.channels[channel] = (login, events.take(np.array(rows, np.intp)))
        if keep.any():
            settled.channels[channel] = (login, events.take(keep))
        else:
            del settled.channels[channel]
    waiting.pending = moved
    return settled, waiting


def _on_disk(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, mapped from a temporary file that goes with them."""
    with spilling(), tempfile.TemporaryFile() as file:
        file.write(values.data)  # numpy's own writing does not notice a disk that is full at its end
        file.flush()
        return np.memmap(file, values.dtype, "r", shape=values.shape)
