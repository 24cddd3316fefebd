"""Ordinary IRC lines of a replay as rows in temporary files, found again by channel and epoch when they are sealed.

In: FastRows, as the reader of tagged lines gives them. Out: EventColumns of one epoch. Each process that reads appends
to a file of its own, sorted by channel and epoch piece by piece, so nothing of them is held in memory, and what is
sent between processes is only where they lie. The files have no names: nothing is left behind, whatever happens.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.columns import MESSAGE, EventColumns
from schemas.errors import TwzrdError
from streams.collect.fast_fields import LOGIN_WIDTH
from streams.collect.fast_irc import FastRows, viewers_of

ROW: Final = np.dtype([("at", "<i8"), ("id", "V16"), ("user", "<u8"), ("login", f"V{LOGIN_WIDTH}"), ("amount", "<u4")])


class SpillError(TwzrdError):
    """A temporary file cannot take what memory cannot hold."""


class Run(NamedTuple):
    """Rows of one room and epoch that lie together: in which file, from which byte on, how many."""

    room: int
    epoch: int
    """Epoch number: start in ms divided by the epochs' length."""
    file: int
    position: int
    rows: int


class RowFiles:
    """One unnamed temporary file for each reading process. Made before the processes are forked, which inherit it."""

    def __init__(self, count: int) -> None:
        try:
            self._files: list[BinaryIO] = [_temporary() for _ in range(count)]
        except OSError as error:
            raise SpillError(f"cannot make a temporary file: {error}; make room or point TMPDIR elsewhere") from error
        self._ends = [0] * count

    def put(self, file: int, parts: Sequence[FastRows], length_ms: int) -> list[Run]:
        """Append rows; only the process that the file belongs to may. Raises SpillError when the disk is full."""
        rows, room, epoch = _joined(parts, length_ms)
        if not len(rows):
            return []
        _, code = np.unique(room, return_inverse=True)
        lowest = int(epoch.min())
        key = code * (int(epoch.max()) - lowest + 1) + (epoch - lowest)
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
        base = self._ends[file]
        self._write(file, rows[order].view(np.uint8).data)
        firsts = order[starts]
        counts = np.diff(starts, append=len(rows)).tolist()
        found = zip(room[firsts].tolist(), epoch[firsts].tolist(), starts.tolist(), counts, strict=True)
        return [Run(r, e, file, base + start * ROW.itemsize, count) for r, e, start, count in found]

    def _write(self, file: int, data: memoryview) -> None:
        descriptor = self._files[file].fileno()
        try:
            while data:
                written = os.pwrite(descriptor, data, self._ends[file])
                self._ends[file] += written
                data = data[written:]
        except OSError as error:
            raise SpillError(
                f"cannot spill {len(data)} bytes to {tempfile.gettempdir()}: {error}; "
                "make room there or point TMPDIR elsewhere"
            ) from error

    def events(self, runs: Sequence[Run]) -> EventColumns:
        """The rows of those runs as one batch."""
        rows = np.empty(sum(run.rows for run in runs), ROW)
        into = rows.view(np.uint8).data
        at = 0
        for run in runs:
            end = at + run.rows * ROW.itemsize
            position = run.position
            while at < end:
                got = os.preadv(self._files[run.file].fileno(), [into[at:end]], position)
                if not got:
                    raise SpillError("a temporary file has lost its end; run again")
                at, position = at + got, position + got
        login = np.ascontiguousarray(rows["login"]).view(np.uint8).reshape(-1, LOGIN_WIDTH)
        viewers, who = viewers_of(np.ascontiguousarray(rows["user"]), login)
        ids = np.ascontiguousarray(rows["id"]).view(np.uint8).reshape(-1, 16)
        kind = np.full(len(rows), MESSAGE, np.uint8)
        at_ms, amount = np.ascontiguousarray(rows["at"]), np.ascontiguousarray(rows["amount"])
        return EventColumns(viewers, at_ms, ids, kind, who, amount)

    @property
    def bytes_total(self) -> int:
        """What this process has written."""
        return sum(self._ends)

    def close(self) -> None:
        """Give the disk back."""
        for file in self._files:
            file.close()


def _temporary() -> BinaryIO:
    return tempfile.TemporaryFile(prefix="twzrd-rows-")


def _joined(
    parts: Sequence[FastRows], length_ms: int
) -> tuple[NDArray[np.void], NDArray[np.uint64], NDArray[np.int64]]:
    """(rows, room, epoch number) of all parts."""
    rows = np.empty(sum(len(part.at) for part in parts), ROW)
    at = 0
    for part in parts:
        into = rows[at : at + len(part.at)]
        into["at"], into["user"], into["amount"] = part.at, part.user, part.amount
        into["id"] = np.ascontiguousarray(part.ids).view("V16")[:, 0]
        into["login"] = np.ascontiguousarray(part.login).view(f"V{LOGIN_WIDTH}")[:, 0]
        at += len(part.at)
    room = np.concatenate([part.room for part in parts]) if parts else np.zeros(0, np.uint64)
    return rows, room, rows["at"] // length_ms
