"""Tagged IRC lines of a replay as rows in temporary files, found again by channel and epoch when they are sealed.

In: what the reader of tagged lines gives: FastRows, and chunks of the unusual lines. Out: EventColumns of one epoch.
Each process that reads collects many rows, sorts them by channel and epoch, and appends them to a file of its own, so
little of them is held in memory, and what is sent between processes is only where they lie. The files have no names:
nothing is left behind, whatever happens.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.columns import MESSAGE, EventColumns, distinct
from schemas.identity import ID_PREFIX
from schemas.packed import PackedPairs
from streams.collect.chunk import Chunk
from streams.collect.fast_irc import FastRows
from streams.collect.spilling import SpillError, spilling

ROWS_TOGETHER: Final = 131_072
"""Rows that a process collects, about 100 bytes each, before it puts them by: many, so that an epoch lies in few
places."""
FIXED_BYTES: Final = 29
"""Of a row: time i64, id 16 bytes, amount u32, kind u8. Behind those of a run lie its viewers, packed."""
WIDTHS: Final = (8, 16, 4, 1)
MAX_ROOM_DIGITS: Final = 18
"""Longer numbers may not fit the arithmetic of the sorting; Twitch's have 10."""
_encode = msgspec.msgpack.Encoder().encode
_SEVEN_BITS, _HIGH_BITS = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)


class Run(NamedTuple):
    """Rows of one room and epoch that lie together: in which file, from which byte on, how many; as columns
    (times, ids, amounts, kinds) and the viewer of each as a msgpack pair."""

    room: int
    epoch: int
    """Epoch number: start in ms divided by the epochs' length."""
    file: int
    position: int
    rows: int
    nbytes: int


class _Rows(NamedTuple):
    """Rows to be put by. rooms: each once, ascending; room: (n,) index into them; viewers: given an order of the rows,
    their viewers packed in that order, and (n,) how many bytes each takes."""

    rooms: NDArray[np.uint64]
    room: NDArray[np.int64]
    at: NDArray[np.int64]
    ids: NDArray[np.uint8]
    amount: NDArray[np.uint32]
    kind: NDArray[np.uint8]
    viewers: Callable[[NDArray[np.intp]], tuple[bytes, NDArray[np.int64]]]


class RowFiles:
    """One unnamed temporary file for each reading process. Made before the processes are forked, which inherit it."""

    def __init__(self, count: int) -> None:
        with spilling():
            self._files: list[BinaryIO] = [_temporary() for _ in range(count)]
        self._ends = [0] * count

    def put(self, file: int, rows: _Rows, length_ms: int) -> list[Run]:
        """Append rows; only the process that the file belongs to may. Raises SpillError when the disk is full."""
        order, starts, places = _by_place(rows, length_ms)
        text, lengths = rows.viewers(order)
        ends = np.cumsum(lengths)
        bounds = [*starts.tolist(), len(order)]
        cuts = [0, *ends[starts[1:] - 1].tolist(), len(text)]
        fixed = (rows.at[order], rows.ids.view("V16")[:, 0][order], rows.amount[order], rows.kind[order])
        columns = [column.view(np.uint8).data for column in fixed]
        packed = memoryview(text)
        pieces: list[memoryview] = []
        runs = []
        position = self._ends[file]
        for index, (room, epoch) in enumerate(places):
            a, b, first, last = bounds[index], bounds[index + 1], cuts[index], cuts[index + 1]
            pieces += [column[width * a : width * b] for column, width in zip(columns, WIDTHS, strict=True)]
            pieces.append(packed[first:last])
            nbytes = FIXED_BYTES * (b - a) + last - first
            runs.append(Run(room, epoch, file, position, b - a, nbytes))
            position += nbytes
        self._write(file, memoryview(b"".join(pieces)))
        return runs

    def _write(self, file: int, data: memoryview) -> None:
        descriptor = self._files[file].fileno()
        with spilling():
            while data:
                written = os.pwrite(descriptor, data, self._ends[file])
                self._ends[file] += written
                data = data[written:]

    def events(self, runs: Sequence[Run]) -> EventColumns:
        """The rows of those runs as one batch; its viewers are a pair a row, a viewer as often as they have rows."""
        blobs = [self._read(run) for run in runs]
        counts = [run.rows for run in runs]
        rows = sum(counts)

        def column(form: str, width: int, offset: int) -> NDArray[np.generic]:
            return np.concatenate(
                [np.frombuffer(blob, form, width * n, offset * n) for blob, n in zip(blobs, counts, strict=True)]
            )

        viewers = b"".join([blob[FIXED_BYTES * n :] for blob, n in zip(blobs, counts, strict=True)])
        return EventColumns(
            PackedPairs(rows, viewers),
            column("<i8", 1, 0).view(np.int64),
            column("u1", 16, 8).view(np.uint8).reshape(-1, 16),
            column("u1", 1, 28).view(np.uint8),
            np.arange(rows, dtype=np.uint32),
            column("<u4", 1, 24).view(np.uint32),
        )

    def _read(self, run: Run) -> bytes:
        data = os.pread(self._files[run.file].fileno(), run.nbytes, run.position)
        while len(data) < run.nbytes:  # the system may give less at a time than asked for
            more = os.pread(self._files[run.file].fileno(), run.nbytes - len(data), run.position + len(data))
            if not more:
                raise SpillError("a temporary file has lost its end; run again")
            data += more
        return data

    @property
    def bytes_total(self) -> int:
        """What this process has written."""
        return sum(self._ends)

    def close(self) -> None:
        """Give the disk back."""
        for file in self._files:
            file.close()


class RowCollector:
    """Rows of one reading process on their way into its file."""

    def __init__(self, files: RowFiles, file: int, length_ms: int) -> None:
        """length_ms: of an epoch; rows lie sorted by it."""
        self._files, self._file, self._length_ms = files, file, length_ms
        self._ordinary: list[FastRows] = []
        self._unusual: list[tuple[int, EventColumns]] = []
        self._rows = 0

    def add(self, rows: FastRows, chunk: Chunk) -> tuple[int, list[Run]]:
        """Take the rows, and out of the chunk those of channels that have a numeric id, where every event has its id
        already. How many those are, and the runs that were put by now, if any. Raises SpillError."""
        taken = len(rows.at)
        if taken:
            self._ordinary.append(rows)
        waiting = {pending.channel for pending in chunk.pending}
        for channel in chunk.channels.keys() - waiting:
            room = _room_of(channel)
            if room is not None:
                _, events = chunk.channels.pop(channel)
                taken += len(events)
                self._unusual.append((room, events))
        self._rows += taken
        return taken, self.rest() if self._rows >= ROWS_TOGETHER else []

    def rest(self) -> list[Run]:
        """Put by what is held. Raises SpillError."""
        runs: list[Run] = []
        if self._ordinary:
            runs += self._files.put(self._file, _of_ordinary(self._ordinary), self._length_ms)
        if self._unusual:
            runs += self._files.put(self._file, _of_unusual(self._unusual), self._length_ms)
        self._ordinary, self._unusual, self._rows = [], [], 0
        return runs


def _room_of(channel: str) -> int | None:
    """The number in a channel's identity, where it says that number and nothing else."""
    text = channel.removeprefix(ID_PREFIX)
    if len(text) > MAX_ROOM_DIGITS or not text.isascii() or not text.isdigit() or text[0] == "0":
        return None
    return int(text)


def _of_ordinary(parts: Sequence[FastRows]) -> _Rows:
    rooms = distinct(np.concatenate([part.rooms for part in parts]))
    at = np.concatenate([part.at for part in parts])
    digits = np.concatenate([part.user_digits for part in parts])
    login = np.concatenate([part.login for part in parts])
    return _Rows(
        rooms,
        np.concatenate([np.searchsorted(rooms, part.rooms)[part.room] for part in parts]),
        at,
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.amount for part in parts]),
        np.full(len(at), MESSAGE, np.uint8),
        lambda order: packed_pairs(digits[order], login[order]),
    )


def _of_unusual(parts: Sequence[tuple[int, EventColumns]]) -> _Rows:
    rooms = distinct(np.array([room for room, _ in parts], np.uint64))
    places = np.searchsorted(rooms, np.array([room for room, _ in parts], np.uint64))
    viewers = [
        _encode(pair) for _, events in parts for pair in map(list(events.viewers).__getitem__, events.who.tolist())
    ]

    def packed(order: NDArray[np.intp]) -> tuple[bytes, NDArray[np.int64]]:
        texts = [viewers[row] for row in order.tolist()]
        return b"".join(texts), np.array([len(text) for text in texts], np.int64)

    return _Rows(
        rooms,
        np.repeat(places, [len(events) for _, events in parts]),
        np.concatenate([events.at for _, events in parts]),
        np.concatenate([events.ids for _, events in parts]),
        np.concatenate([events.amount for _, events in parts]),
        np.concatenate([events.kind for _, events in parts]),
        packed,
    )


def packed_pairs(user_digits: NDArray[np.uint8], login: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.int64]]:
    """Each row's (identity, login) as a msgpack array of two strings, one behind the other, and (n,) their lengths.

    user_digits: (n, 16), login: (n, 32) with at most 21 bytes of the identity's and 31 of the login's; both padded
    with zeros, which no login or number holds.
    """
    prefix = ID_PREFIX.encode()
    digit_bytes, login_bytes = _text_bytes(user_digits), _text_bytes(login)
    identity_bytes = len(prefix) + digit_bytes
    digits = user_digits[:, user_digits.shape[1] - int(digit_bytes.max()) :]
    login = login[:, : int(login_bytes.max())]
    out = np.empty((len(login), 3 + len(prefix) + digits.shape[1] + login.shape[1]), np.uint8)
    out[:, 0] = 0x92  # an array of two
    out[:, 1] = 0xA0 | identity_bytes  # a string of fewer than 32 bytes
    at = 2 + len(prefix)
    out[:, 2:at] = np.frombuffer(prefix, np.uint8)
    out[:, at : at + digits.shape[1]] = digits
    at += digits.shape[1]
    out[:, at] = 0xA0 | login_bytes
    out[:, at + 1 :] = login
    return out.tobytes().translate(None, b"\0"), 3 + identity_bytes + login_bytes


def _text_bytes(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) how many bytes of each row of ASCII text, 8 k bytes wide, are not zero."""
    words = np.ascontiguousarray(rows).view("<u8")
    marks = (words + _SEVEN_BITS) & _HIGH_BITS  # the high bit of each byte that is not zero
    count: NDArray[np.int64] = np.bitwise_count(marks).sum(axis=1, dtype=np.int64)
    return count


def _temporary() -> BinaryIO:
    return tempfile.TemporaryFile(prefix="twzrd-rows-")


def _by_place(rows: _Rows, length_ms: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Iterable[tuple[int, int]]]:
    """The order that sorts the rows by room and epoch, where in it each (room, epoch number) starts, and those."""
    epoch = rows.at // length_ms
    lowest = int(epoch.min())
    epochs = int(epoch.max()) - lowest + 1
    key = rows.room * epochs + (epoch - lowest)
    if len(rows.rooms) * epochs <= 65_536:
        key = key.astype(np.uint16)  # numpy sorts those by radix
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_key[1:] != sorted_key[:-1])))
    code, number = np.divmod(sorted_key[starts].astype(np.int64), epochs)
    return order, starts, list(zip(rows.rooms[code].tolist(), (number + lowest).tolist(), strict=True))
