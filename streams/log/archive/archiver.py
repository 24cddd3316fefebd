"""The archiver: a consumer of chat.events that keeps the long-term record. Log records in, durable files out.

The position is committed only after the files are durable, so a kill at any point loses nothing; what was written but
not committed is written again, and readers drop the second copy by (partition, offset). A folder whose newest file
lies below the position (a lost disk, a second machine's) is filled from there.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from schemas.streams import CHAT_EVENTS
from streams.log.archive.files import ArchiveFile, find_files
from streams.log.archive.layout import UNREADABLE, ArchiveError, FileName
from streams.log.archive.writing import TEMPORARY_PREFIX, Buffer
from streams.log.port import Log, LogError

log = logging.getLogger(__name__)

GROUP: Final = "archive"
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Pauses after failures in a row; the last one repeats."""
RECOMMIT_S: Final = 3600.0
"""A position that does not move is committed again this often: Kafka forgets those of idle groups."""
STALE_TEMPORARY_S: Final = 3600.0


class Archiver:
    """Archives the given partitions of chat.events (default: all) below root. One archiver per partition at a time;
    two do no harm but write twice. Memory: flush_bytes and one read."""

    def __init__(
        self,
        source: Log,
        root: Path,
        *,
        partitions: Sequence[int] | None = None,
        flush_bytes: int = 64 << 20,
        flush_records: int = 50_000,
        flush_age_s: float = 300.0,
    ) -> None:
        self._log = source
        self._root = root
        self._wanted = partitions
        self._bounds = flush_bytes, flush_records, flush_age_s
        self._buffer = Buffer()
        self._buffered_since_s = 0.0
        self._next: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._committed_s = time.monotonic()
        self.records_total = 0
        """Records made durable."""
        self.unreadable_total = 0
        """Of the records read, those that do not decode; archived under their key."""
        self.skipped_total = 0
        """Offsets the log had deleted before they were archived."""
        self.files_total = 0
        self.bytes_total = 0
        """On disk, before any compaction."""
        self.failures_total = 0
        """Steps of run() that ended in an error (each was tried again), and files found damaged."""

    async def start(self) -> None:
        """Find the positions. ArchiveError where root holds the records of another log."""
        partitions = self._wanted if self._wanted is not None else range(await self._log.partitions(CHAT_EVENTS))
        newest = await asyncio.to_thread(self._newest)
        positions = {}
        for partition in partitions:
            if partition in newest:
                await self._check_same_log(newest[partition])
            stored = await self._log.committed(GROUP, CHAT_EVENTS, partition)
            first, _ = await self._log.span(CHAT_EVENTS, partition)
            # The group's position may be another folder's (lost, or of another machine): what counts is what lies here.
            position = min(stored or 0, newest[partition].last + 1 if partition in newest else 0)
            if first > position:
                self.skipped_total += first - position
                log.error(
                    "chat.events[%d]: offsets %d..%d are gone from the log and were not archived; keep the log longer",
                    partition,
                    position,
                    first - 1,
                )
            positions[partition] = max(first, position)
        self._next, self._committed = positions, dict(positions)

    async def step(self, wait_ms: int = 0) -> int:
        """Read what there is, at most one read per partition, and flush if a bound is reached; returns the number of
        records read. Waits up to wait_ms for the first. LogError, ArchiveError: nothing is lost, call it again."""
        if not self._next:
            await self.start()
        if self._due():
            await self.flush()
        found = 0
        for partition in self._next:
            found += await self._take(partition, 0)
        if not found and wait_ms:
            found = await self._wait(wait_ms)
        if self._due():
            await self.flush()
        elif not self._buffer.rows and (
            self._next != self._committed or time.monotonic() - self._committed_s > RECOMMIT_S
        ):
            await self._commit(self._next)
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until stop is set, then flush. A failure is logged, counted and tried again, for ever."""
        failures = 0
        while not stop.is_set():
            try:
                await self.step(wait_ms=1000)
                failures = 0
            except LogError as error:
                pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                self.failures_total += 1
                log.error("archiving stands still, next try in %.0f s: %s", pause_s, error)
                try:
                    await asyncio.wait_for(stop.wait(), pause_s)
                except TimeoutError:
                    continue
        await self.flush()

    async def flush(self) -> None:
        """Make everything read so far durable, then commit the positions. ArchiveError keeps both as they were."""
        records = len(self._buffer.rows)
        if not records:
            return
        upto = dict(self._next)
        paths = await asyncio.to_thread(self._buffer.flush, self._root)
        self.records_total += records
        self.files_total += len(paths)
        self.bytes_total += sum(path.stat().st_size for path in paths)
        await self._commit(upto)

    def lag(self, ends: dict[int, int]) -> int:
        """Offsets between the committed positions and the given ends of the partitions."""
        return sum(max(0, ends.get(partition, 0) - offset) for partition, offset in self._committed.items())

    async def _commit(self, positions: dict[int, int]) -> None:
        moved = positions != self._committed
        for partition, offset in positions.items():
            if not moved or self._committed[partition] != offset:
                await self._log.commit(GROUP, CHAT_EVENTS, partition, offset)
                self._committed[partition] = offset
        self._committed_s = time.monotonic()

    async def _take(self, partition: int, wait_ms: int) -> int:
        room = self._bounds[0] - self._buffer.bytes
        if room <= 0:
            return 0
        records = await self._log.read(
            CHAT_EVENTS, partition, self._next[partition], max_bytes=min(room, 8 << 20), wait_ms=wait_ms
        )
        if records and not self._buffer.rows:
            self._buffered_since_s = time.monotonic()
        for record in records:
            self.unreadable_total += self._buffer.add(partition, record).type == UNREADABLE
        if records:
            self._next[partition] = records[-1].offset + 1
        return len(records)

    async def _wait(self, wait_ms: int) -> int:
        """Wait on all partitions at once, wait_ms in all: the more there is then, the larger the files."""
        results = await asyncio.gather(
            *(self._take(partition, wait_ms) for partition in self._next), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in results if isinstance(result, int))

    def _due(self) -> bool:
        most_bytes, most_records, most_age_s = self._bounds
        buffer = self._buffer
        return bool(buffer.rows) and (
            buffer.bytes >= most_bytes
            or len(buffer.rows) >= most_records
            or time.monotonic() - self._buffered_since_s >= most_age_s
        )

    def _newest(self) -> dict[int, FileName]:
        """The file with the last offset of each partition. Removes what a killed archiver left half-written."""
        if not self._root.exists():
            return {}
        for left in self._root.glob(f"*/*/{TEMPORARY_PREFIX}*"):
            with suppress(FileNotFoundError):  # another archiver has just finished it
                if time.time() - left.stat().st_mtime > STALE_TEMPORARY_S:
                    left.unlink()
        newest: dict[int, FileName] = {}
        for name in find_files(self._root):
            if name.partition not in newest or name.last > newest[name.partition].last:
                newest[name.partition] = name
        return newest

    async def _check_same_log(self, newest: FileName) -> None:
        """A log that was made anew starts at offset 0 again; its records must not be mixed with the old ones'."""
        first, end = await self._log.span(CHAT_EVENTS, newest.partition)
        same = newest.last < end
        if same and newest.last >= first:
            read = await self._log.read(CHAT_EVENTS, newest.partition, newest.last, max_records=1)
            try:
                archived = await asyncio.to_thread(lambda: deque(ArchiveFile(newest).rows(), maxlen=1)[0])
            except ArchiveError as error:
                self.failures_total += 1
                log.error("cannot compare the archive with the log, archiving goes on: %s", error)
                return
            same = bool(read) and (read[0].offset, read[0].value) == (archived.offset, archived.envelope)
        if not same:
            raise ArchiveError(
                f"archive {self._root} holds records of another log: offset {newest.last} of partition "
                f"{newest.partition} in {newest.path.name} is not in this log as it is there; "
                "use another folder for this log"
            )
