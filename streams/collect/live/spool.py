"""The spool: records on disk while the log is away, read back in order. Used by the outbound; blocking, small steps.

A folder of segment files, `<16 digits>.spool`, each a sequence of records (spool_records), and `acked`: u64 segment |
u64 byte, up to where records are on the log (little-endian). Writes go straight to the kernel, so kill -9
loses nothing that `append` took; `sync` (called once a second, in a thread) makes them outlive a power cut. A segment
is on the disk before the next is begun, so that a power cut takes the end and nothing before it: a segment that is full
goes on until a sync has caught up with it, or to twice its size, where `append` syncs itself.
`acked` is not synced: after a power cut some records are sent again, which the fold takes once.

What the disk refuses is counted, and ends nothing. A segment that could not be synced may have lost any of its records;
read back, it gives those before the first that is damaged. So nothing is begun behind it until all of it is on the log:
`append` turns down what does not fit, and the Intake leaves holes.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import TwzrdError
from streams.collect.live.counters import OutboundCounters
from streams.collect.live.spool_records import HEAD_BYTES, Spooled, good_bytes, pack, record_bytes, unpack

MAX_BYTES: Final = 1 << 30
SEGMENT_BYTES: Final = 16 << 20
"""Of a full segment; what the outbound writes to the disk at once, as all that memory holds, fits in twice as much."""
READ_TRIES: Final = 5
"""A segment that the disk refuses as often in a row to read is passed over, as damaged."""
_ACKED: Final = struct.Struct("<QQ")


class SpoolError(TwzrdError):
    """The spool's folder, or a segment, cannot be used; the message says why and what to do."""


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
        self._unsafe: int | None = None
        """A segment that a sync failed for: whether it is on the disk is not known any more."""
        self._ended: int | None = None
        """A segment that takes no more, of whatever size."""
        self._failed_reads = 0
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
            self._writing = None
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
                packed = pack(record)
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
        """The next records that were not read yet, and the position to acknowledge when all of them are on the log.
        Raises SpoolError where the disk refuses; then the same may be asked again, and is passed over in the end."""
        found: list[Spooled] = []
        while not found and (segment := self._next_to_read()) is not None:
            start = self._read.byte if self._read.segment == segment else 0
            found, used = unpack(self._data(segment, start, max_bytes), max_records)
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
                    self._writing = None
                self._counters.spool_bytes -= self._sizes.pop(segment)
                with self._counted():
                    self._path(segment).unlink(missing_ok=True)
        if self._acked_file is not None:
            with self._counted():  # what is not noted is sent again by the next process
                os.pwrite(self._acked_file, _ACKED.pack(*position), 0)

    def sync(self) -> None:
        """Make what was appended outlive a power cut. May take long; may run in a thread beside the other calls. After
        one that failed no later one vouches for that segment: what the disk lost then is not written again."""
        segment = self._writing
        size = self._sizes.get(segment) if segment is not None else None
        if segment is None or size is None or (segment, size) <= self._synced:
            return
        try:
            for path in (self._path(segment), self._folder):
                _sync(path)
        except OSError:
            self._counters.spool_errors += 1
            self._unsafe = segment
        if segment != self._unsafe:
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
                good = good_bytes(path)
                if good < size:
                    self._counters.torn_tails += 1
                    self._counters.torn_bytes += size - good
                    os.truncate(path, good)
            if segment < self._acked.segment or not good:
                path.unlink()
                continue
            self._sizes[segment] = good
            self._counters.spool_bytes += good
            if segment == numbers[-1]:
                self._writing = self._ended = segment  # it may not be on the disk yet: to be synced before the next
        self.rewind()
        self.acknowledge(self._acked)

    def _next_to_read(self) -> int | None:
        for segment, size in self._sizes.items():
            if segment > self._read.segment or (segment == self._read.segment and self._read.byte < size):
                return segment
        return None

    def _data(self, segment: int, start: int, max_bytes: int) -> bytes:
        """What the segment holds from that byte on, up to max_bytes or one record; nothing after READ_TRIES."""
        left = self._sizes[segment] - start
        reason: OSError | None = None
        for size in (max_bytes, 0):  # what lies before a bad block is had record by record
            try:
                with self._path(segment).open("rb") as file:
                    file.seek(start)
                    data = file.read(min(max(size, HEAD_BYTES), left))
                    if HEAD_BYTES <= len(data) < left:
                        data += file.read(max(0, record_bytes(data) - len(data)))
            except OSError as error:
                reason = error
            else:
                self._failed_reads = 0
                return data
        self._counters.spool_errors += 1
        self._failed_reads += 1
        if self._failed_reads < READ_TRIES:
            raise SpoolError(f"spool {self._path(segment)} cannot be read: {reason}; it is tried again, see the disk")
        self._failed_reads = 0
        return b""

    def _write(self, data: bytes) -> bool:
        """All of data into the current segment, or nothing."""
        segment = self._writing
        if segment is None or self._ends(segment):
            if segment is None or segment != self._unsafe:
                self.sync()  # mostly done already
            if self.unsynced:
                self._counters.spool_errors += 1
                return False
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
            self._cut_off(segment, size)
            return False
        self._sizes[segment] = size + len(data)
        self._counters.spool_bytes += len(data)
        return True

    def _cut_off(self, segment: int, size: int) -> None:
        """Take back what a failed write left behind that size; where that fails, too, the segment takes no more."""
        try:
            if size:
                os.truncate(self._path(segment), size)
            else:
                self._path(segment).unlink(missing_ok=True)
        except OSError:
            self._ended = segment
            return
        if not size:
            del self._sizes[segment]
            self._writing = None

    def _ends(self, segment: int) -> bool:
        """Whether the segment being written is to be followed by another."""
        size = self._sizes[segment]
        full = size >= self._segment_bytes and not self.unsynced
        return full or size >= 2 * self._segment_bytes or segment == self._ended

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """For what may fail without harm."""
        try:
            yield
        except OSError:
            self._counters.spool_errors += 1


def _sync(path: Path) -> None:
    with suppress(FileNotFoundError):  # acknowledged meanwhile
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
