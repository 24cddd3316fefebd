"""Open epochs of a replay: folds in memory up to a budget, the rest as segments in one temporary file, and where rows
that readers have put by lie (`rows`).

In: columns of one channel, any order. Out: every (channel, epoch) once, ascending, with all its events.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np

from schemas.columns import EventColumns
from schemas.identity import ID_PREFIX
from schemas.packed import encodable
from streams.collect.cutting import window
from streams.collect.spilling import spilling
from streams.core.fold import EpochFold
from streams.replay.rows import RowFiles, Run

DEFAULT_BUDGET_BYTES: Final = 256 * 1024 * 1024
SEAL_WEIGHT: Final = 400
"""A seal without events takes about as long as so many events more."""
Key = tuple[str, int]
"""(channel identity, epoch start in ms)"""


class _Segment(NamedTuple):
    position: int
    length: int


class _SegmentWire(msgspec.Struct, array_like=True, gc=False):
    viewers: list[tuple[str, str]]
    at: bytes
    ids: bytes
    kind: bytes
    who: bytes
    amount: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_SegmentWire)


class EpochStore:
    """Takes events by channel, gives them back by epoch. `spilled_bytes_total` counts what went to disk."""

    def __init__(self, epoch_length_ms: int, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._length_ms = epoch_length_ms
        self._budget_bytes = budget_bytes
        self._folds: dict[Key, EpochFold] = {}
        self._logins: dict[str, str] = {}
        self._segments: dict[Key, list[_Segment]] = {}
        self._files: RowFiles | None = None
        self._runs: dict[Key, list[Run]] = {}
        self._file: BinaryIO | None = None
        self._held_bytes = 0
        self.spilled_bytes_total = 0

    def put_by(self, files: RowFiles, runs: Sequence[Run], logins: Mapping[str, str]) -> None:
        """Take note of rows that a reader has put into those files, and of their channels' last logins."""
        self._files = files
        self._logins.update(logins)
        for run in runs:
            self._runs.setdefault((f"{ID_PREFIX}{run.room}", run.epoch * self._length_ms), []).append(run)

    def add(self, channel: str, login: str, events: EventColumns) -> None:
        """Take in events of one channel. Raises SpillError when the disk is full."""
        self._logins[channel] = login
        epochs = events.at // self._length_ms
        first, last = int(epochs.min()), int(epochs.max())
        if first == last:
            self._append(channel, first, events)
        else:
            order = np.argsort(epochs, kind="stable")
            found, starts = np.unique(epochs[order], return_index=True)
            for epoch, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
                self._append(channel, epoch, window(events.take(rows)))
        if self._held_bytes > self._budget_bytes:
            self._spill()

    def _append(self, channel: str, epoch: int, events: EventColumns) -> None:
        key = (channel, epoch * self._length_ms)
        into = self._folds.get(key)
        before = 0  # an empty fold takes its room, too: tens of thousands of epochs with few events each are usual
        if into is None:
            into = self._folds[key] = EpochFold()
        else:
            before = into.nbytes
        into.add(events, into.intern(events.viewers))
        self._held_bytes += into.nbytes - before

    def _spill(self) -> None:
        with spilling():
            self._put_folds_by()

    def _put_folds_by(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="twzrd-spill-")  # noqa: SIM115 - lives as long as the store
        position = self._file.seek(0, 2)
        for key, held in self._folds.items():
            events, pairs = held.columns()
            data = _encoder.encode(
                (
                    encodable(pairs),
                    *(column.tobytes() for column in (events.at, events.ids, events.kind, events.who, events.amount)),
                )
            )
            self._file.write(data)
            self._segments.setdefault(key, []).append(_Segment(position, len(data)))
            position += len(data)
            self.spilled_bytes_total += len(data)
        self._file.flush()  # read by position, maybe by another process
        self._folds.clear()
        self._held_bytes = 0

    def login_of(self, channel: str) -> str:
        """The channel's last login in the input."""
        return self._logins[channel]

    def keys(self) -> list[Key]:
        """Every (channel, epoch start ms) that has events, ascending."""
        return sorted(self._folds.keys() | self._segments.keys() | self._runs.keys())

    def weight(self, key: Key) -> int:
        """About how much work sealing that epoch is, in events."""
        held = self._folds.get(key)
        spilled = sum(segment.length for segment in self._segments.get(key, ())) // 60
        rows = sum(run.rows for run in self._runs.get(key, ()))
        return SEAL_WEIGHT + (len(held) if held else 0) + spilled + rows

    def take(self, key: Key) -> EpochFold:
        """All events of one epoch; the store forgets them."""
        out = self._folds.pop(key, None) or EpochFold()
        for segment in self._segments.pop(key, []):
            assert self._file is not None
            wire = _decoder.decode(os.pread(self._file.fileno(), segment.length, segment.position))
            events = EventColumns(
                wire.viewers,
                np.frombuffer(wire.at, "<i8"),
                np.frombuffer(wire.ids, np.uint8).reshape(-1, 16),
                np.frombuffer(wire.kind, np.uint8),
                np.frombuffer(wire.who, "<u4"),
                np.frombuffer(wire.amount, "<u4"),
            )
            out.add(events, out.intern(events.viewers))
        runs = self._runs.pop(key, None)
        if runs is not None:
            assert self._files is not None
            events = self._files.events(runs)
            out.add(events, out.intern(events.viewers))
        return out

    def drain(self) -> Iterator[tuple[Key, EpochFold]]:
        """Every epoch once, ascending."""
        for key in self.keys():
            yield key, self.take(key)

    def close(self) -> None:
        """Give the temporary files back."""
        if self._file is not None:
            self._file.close()
        if self._files is not None:
            self._files.close()
