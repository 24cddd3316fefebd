"""`twzrd load`: files onto the log, as fast as it takes them. Readers -> Cutter -> Log.append; an archive's records go
onto it as they are."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from blake3 import blake3

from schemas.dead import encode
from streams.collect.chunk import Chunk, broken_off
from streams.collect.cutting import Cutter, Ready
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.names import check_sources, looks_archived, shown
from streams.log.port import CHAT_EVENTS, DEAD, Append, Log
from streams.replay.reading import chunks_of, make_pool
from streams.replay.tally import Tally

BATCH_ENVELOPES: Final = 250
BATCH_LETTERS: Final = 1_000
IN_FLIGHT: Final = 4
"""Appends under way at once. Their order does not matter: nothing is closed before the end records."""


@dataclass(slots=True)
class Loaded:
    """What a load came to."""

    tally: Tally
    envelopes: int = 0
    dead_letters: int = 0


Progress = Callable[[str, int, int], None]


class Loader:
    """Puts inputs onto an open log. Every channel of an input of lines ends with an end record, which seals its epochs.

    Folders and files of an archive are one archive: a log that was lost comes back from it. Its records state what was
    observed and where channels ended, so none is added; onto a log that has them already they come late.
    """

    def __init__(self, log: Log, read: ReadOptions, jobs: int, progress: Progress | None = None) -> None:
        self._log = log
        self._read = read
        self._jobs = jobs
        self._progress = progress
        self._sending: deque[asyncio.Task[object]] = deque()
        self._batch: list[Append] = []
        self.done = Loaded(Tally())

    async def load(self, sources: Sequence[str], *, end: bool) -> Loaded:
        """Raises SourceError before anything is read where an input is missing, LogError where the log is lost; what
        was appended by then stays, and loading again repeats nothing that counts (same ids), though what comes after
        an end record is late. An input that breaks later is named by line as a dead letter and in tally.failed_inputs,
        and the others go on."""
        check_sources(sources)
        await self._take_archive([Path(source) for source in sources if looks_archived(source)])
        pool = make_pool(self._jobs)
        try:
            for source in sources:
                if looks_archived(source):
                    continue
                cutter = Cutter(f"file:{blake3(os.fsencode(source)).hexdigest(16)}")
                await self._take_input(source, cutter, pool)
                await self._send_all(cutter.rest())
                await self._drain()  # an end record comes after every event of its channel
                if end:
                    await self._send_all(cutter.ends())
                    await self._drain()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)  # the first fault of them is on its way
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        return self.done

    async def _take_archive(self, roots: Sequence[Path]) -> None:
        """Each channel's records in log order, so one append after the other."""
        if not roots:
            return
        from streams.log.archive.files import not_archived  # Parquet takes 0.2 s to import: only where there is some
        from streams.log.archive.reading import read_records

        faults = not_archived(roots)
        records = read_records(roots, on_error=faults.append)
        while batch := await asyncio.to_thread(list, islice(records, BATCH_ENVELOPES)):
            await self._log.append(CHAT_EVENTS, [Append(None, record.key, record.value) for _, record in batch])
            self.done.envelopes += len(batch)
            self.done.tally.records += len(batch)
        for fault in faults:
            letter = self.done.tally.take_fault(roots[0], fault)
            await self._log.append(DEAD, [Append(None, b"archive", encode(letter))])
            self.done.dead_letters += 1

    async def _take_input(self, source: str, cutter: Cutter, pool: ProcessPoolExecutor | None) -> None:
        chunks = chunks_of(source, self._read, pool, self._jobs)
        lines, taken = self.done.tally.lines, 0
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                taken += chunk.bytes_read
                await self._take(source, chunk, cutter)
                if self._progress is not None:
                    self._progress(source, taken, self.done.tally.lines - lines)
        except SourceError as error:
            await self._take(source, broken_off(self.done.tally.lines - lines + 1, str(error)), cutter)

    async def _take(self, source: str, chunk: Chunk, cutter: Cutter) -> None:
        letters = self.done.tally.take_lines(source, chunk)
        for channel, (login, events) in chunk.channels.items():
            self.done.tally.events += len(events)
            await self._send_all(cutter.add(channel, login, events))
        key = shown(source).encode()
        for start in range(0, len(letters), BATCH_LETTERS):
            some = letters[start : start + BATCH_LETTERS]
            await self._log.append(DEAD, [Append(None, key, encode(letter)) for letter in some])
            self.done.dead_letters += len(some)

    async def _send_all(self, ready: Iterator[Ready]) -> None:
        for one in ready:
            self._batch.append(Append(None, one.key, one.value))
            self.done.envelopes += 1
            if len(self._batch) >= BATCH_ENVELOPES:
                await self._flush()

    async def _drain(self) -> None:
        """Until everything sent is durable."""
        await self._flush()
        while self._sending:
            await self._sending.popleft()

    async def _flush(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        self._sending.append(asyncio.create_task(self._log.append(CHAT_EVENTS, batch)))
        if len(self._sending) > IN_FLIGHT:
            await self._sending.popleft()
