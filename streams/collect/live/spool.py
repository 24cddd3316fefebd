"""The spool: records on disk while the log is away, read back in order. Used by the outbound; blocking, small steps.

A folder of segment files, `<16 digits>.spool`, each a sequence of

    u32 length of body | u32 crc32 of body | body = u8 stream | u16 length of key | key | value        (little-endian)

and `acked`: u64 segment | u64 byte, up to where records are on the log. Writes go straight to the kernel, so kill -9
loses nothing that `append` took; `sync` (called once a second, in a thread) makes them outlive a power cut. A segment
is on the disk before the next is begun, so that a power cut takes the end and nothing before it: a segment that is full
goes on until a sync has caught up with it, or to twice its size, where `append` syncs itself.
`acked` is not synced: after a power cut some records are sent again, which the fold takes once.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import TwzrdError
from streams.collect.live.counters import OutboundCounters

MAX_BYTES: Final = 1 << 30
SEGMENT_BYTES: Final = 16 << 20
"""Of a full segment; what the outbound writes to the disk at once, as all that memory holds, fits in twice as much."""
MAX_BODY_BYTES: Final = 16 << 20
"""Twice what the log takes; a length beyond it is damage."""
_HEAD: Final = struct.Struct("<II")
_BODY: Final = struct.Struct("<BH")
_ACKED: Final = struct.Struct("<QQ")


class SpoolError(TwzrdError):
    """The spool's folder cannot be used; the message says why and what to do."""


class Spooled(NamedTuple):
    """One record. stream: a number the outbound gives each stream."""

    stream: int
    key: bytes
    value: bytes


class Position(NamedTuple):
    """A place behind a record: segment number and byte."""

    segment: int
    byte: int


class Spool:
    """At most max_bytes on disk. One process a folder."""

    def __init__(
        self,
        folder: Path,
        counters: OutboundCounters,
        *,
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._folder = folder
        self._counters = counters
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes)
        self._sizes: dict[int, int] = {}
        """Good bytes of each segment, oldest first."""
        self._read = Position(0, 0)
        self._acked = Position(0, 0)
        self._writing: int | None = None
        self._synced = Position(0, 0)
        """Up to where what was written outlives a power cut."""
        self._lock: int | None = None
        self._acked_file: int | None = None

    def open(self) -> None:
        """Find what an earlier process left, cut a torn end off. Raises SpoolError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._acked_file = os.open(self._folder / "acked", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._find()
        except BlockingIOError as error:
            raise SpoolError(
                f"spool {self._folder} is in use by another process; end that one, or give this one its own home"
            ) from error
        except OSError as error:
            raise SpoolError(f"spool {self._folder} cannot be used: {error}; make it a writable folder") from error

    def close(self) -> None:
        """Sync and let go; safe to call twice."""
        if self._lock is not None and self._acked_file is not None:
            self.sync()
            self._end_segment()
            os.close(self._acked_file)
            os.close(self._lock)
        self._lock = self._acked_file = None

    @property
    def empty(self) -> bool:
        """Whether every record is acknowledged."""
        return not self._sizes

    @property
    def unsynced(self) -> bool:
        """Whether something was appended since the last sync began."""
        return self._writing is not None and (self._writing, self._sizes[self._writing]) > self._synced

    def append(self, records: Sequence[Spooled]) -> int:
        """Write records in order; returns how many were taken before the bound, or the disk, was reached."""
        taken = 0
        for start in range(0, len(records), 256):
            parts, size = [], 0
            left = self._max_bytes - self._counters.spool_bytes
            for record in records[start : start + 256]:
                packed = _pack(record)
                if size + len(packed) > left:
                    self._counters.spool_full += 1
                    break
                parts.append(packed)
                size += len(packed)
            if not parts or not self._write(b"".join(parts)):
                break
            taken += len(parts)
            if len(parts) < min(256, len(records) - start):
                break
        self._counters.spooled_records += taken
        return taken

    def read(self, max_records: int, max_bytes: int) -> tuple[list[Spooled], Position]:
        """The next records that were not read yet, and the position to acknowledge when all of them are on the log."""
        found: list[Spooled] = []
        while not found and (segment := self._next_to_read()) is not None:
            start = self._read.byte if self._read.segment == segment else 0
            with self._path(segment).open("rb") as file:
                file.seek(start)
                data = file.read(min(max(max_bytes, _HEAD.size), self._sizes[segment] - start))
                if len(data) >= _HEAD.size and len(data) < self._sizes[segment] - start:
                    length, _ = _HEAD.unpack_from(data)
                    data += file.read(max(0, min(length, MAX_BODY_BYTES) + _HEAD.size - len(data)))
            found, used = _unpack(data, max_records)
            self._read = Position(segment, start + used)
            if not found:  # damaged on disk since it was written: where the next record begins is unknown
                self._counters.damaged_bytes += self._sizes[segment] - start
                self._read = Position(segment, self._sizes[segment])
                self.acknowledge(self._read)
        return found, self._read

    def rewind(self) -> None:
        """Read again from the last acknowledged position."""
        self._read = self._acked

    def acknowledge(self, position: Position) -> None:
        """All records before the position are on the log; segments behind it go."""
        self._acked = position
        for segment in list(self._sizes):
            done = segment < position.segment or (segment == position.segment and position.byte >= self._sizes[segment])
            if done:
                if segment == self._writing:
                    self._end_segment()
                self._path(segment).unlink(missing_ok=True)
                self._counters.spool_bytes -= self._sizes.pop(segment)
        if self._acked_file is not None:
            os.pwrite(self._acked_file, _ACKED.pack(*position), 0)

    def sync(self) -> None:
        """Make what was appended outlive a power cut. May take long; may run in a thread beside the other calls."""
        segment = self._writing
        size = self._sizes.get(segment) if segment is not None else None
        if segment is None or size is None or (segment, size) <= self._synced:
            return
        for path in (self._path(segment), self._folder):
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # acknowledged meanwhile
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        self._synced = max(self._synced, Position(segment, size))  # not what was appended meanwhile

    # ---- segments --------------------------------------------------------------------------------------------------

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:016d}.spool"

    def _find(self) -> None:
        assert self._acked_file is not None
        known = os.pread(self._acked_file, _ACKED.size, 0)
        self._acked = Position(*_ACKED.unpack(known)) if len(known) == _ACKED.size else Position(0, 0)
        numbers = sorted(int(path.stem) for path in self._folder.glob("*.spool") if path.stem.isdigit())
        for segment in numbers:
            path = self._path(segment)
            size = path.stat().st_size
            good = size
            if segment == numbers[-1]:
                good = _good_bytes(path)
                if good < size:
                    self._counters.torn_tails += 1
                    self._counters.torn_bytes += size - good
                    os.truncate(path, good)
            if segment < self._acked.segment or not good:
                path.unlink()
                continue
            self._sizes[segment] = good
            self._counters.spool_bytes += good
        self.rewind()
        self.acknowledge(self._acked)

    def _next_to_read(self) -> int | None:
        for segment, size in self._sizes.items():
            if segment > self._read.segment or (segment == self._read.segment and self._read.byte < size):
                return segment
        return None

    def _write(self, data: bytes) -> bool:
        """All of data into the current segment, or nothing."""
        segment = self._writing
        if segment is None or self._ends(self._sizes[segment]):
            self.sync()  # mostly done already
            self._end_segment()
            segment = max(self._sizes, default=self._acked.segment) + 1
            self._sizes[segment] = 0
            self._writing = segment
        path, size = self._path(segment), self._sizes[segment]
        try:
            with path.open("ab", buffering=0) as file:
                if file.write(data) != len(data):
                    raise OSError("short write")
        except OSError:
            self._counters.spool_errors += 1
            if path.exists():
                os.truncate(path, size)
            if not size:
                path.unlink(missing_ok=True)
                del self._sizes[segment]
                self._writing = None
            return False
        self._sizes[segment] = size + len(data)
        self._counters.spool_bytes += len(data)
        return True

    def _ends(self, size: int) -> bool:
        """Whether the segment being written, of that size, is to be followed by another."""
        return size >= 2 * self._segment_bytes or (size >= self._segment_bytes and not self.unsynced)

    def _end_segment(self) -> None:
        self._writing = None


def _pack(record: Spooled) -> bytes:
    body = _BODY.pack(record.stream, len(record.key)) + record.key + record.value
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _unpack(data: bytes, max_records: int) -> tuple[list[Spooled], int]:
    """Whole, undamaged records from the start of data, and how many bytes they take."""
    found: list[Spooled] = []
    at = 0
    while len(found) < max_records and at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if not _BODY.size <= length <= MAX_BODY_BYTES or len(body) < length or zlib.crc32(body) != checksum:
            break
        stream, key_length = _BODY.unpack_from(body)
        key_end = _BODY.size + key_length
        if key_end > length:
            break
        found.append(Spooled(stream, body[_BODY.size : key_end], body[key_end:]))
        at += _HEAD.size + length
    return found, at


def _good_bytes(path: Path) -> int:
    """Where the last whole, undamaged record ends."""
    good = 0
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            if not _BODY.size <= length <= MAX_BODY_BYTES:
                break
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            good += _HEAD.size + length
    return good
