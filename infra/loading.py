"""`twzrd load`: files onto the log, as fast as it takes them. Readers -> Cutter -> Log.append."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from schemas.dead import VERSION as DEAD_VERSION
from schemas.dead import DeadLetter, encode
from streams.collect.chunk import Chunk
from streams.collect.cutting import Cutter, Ready
from streams.collect.files.formats import ReadOptions
from streams.collect.files.names import check_sources
from streams.log.port import CHAT_EVENTS, DEAD, Append, Log
from streams.replay.reading import chunks_of, make_pool
from streams.replay.tally import Tally

BATCH_ENVELOPES: Final = 250
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
    """Puts inputs onto an open log. Every channel of an input ends with an end record, which seals its epochs."""

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
        an end record is late."""
        check_sources(sources)
        pool = make_pool(self._jobs)
        try:
            for source in sources:
                cutter = Cutter(f"file:{blake3(source.encode()).hexdigest(16)}")
                chunks = chunks_of(source, self._read, pool, self._jobs)
                taken = 0
                while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                    taken += chunk.bytes_read
                    await self._take(source, chunk, cutter)
                    if self._progress is not None:
                        self._progress(source, taken, self.done.tally.lines)
                await self._send_all(cutter.rest())
                await self._drain()  # an end record comes after every event of its channel
                if end:
                    await self._send_all(cutter.ends())
                    await self._drain()
        finally:
            for task in self._sending:
                task.cancel()
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        return self.done

    async def _take(self, source: str, chunk: Chunk, cutter: Cutter) -> None:
        tally = self.done.tally
        tally.lines += chunk.lines
        for channel, (login, events) in chunk.channels.items():
            tally.events += len(events)
            await self._send_all(cutter.add(channel, login, events))
        letters = []
        for dead in chunk.dead:
            tally.malformed += 1
            where: dict[str, str | int] = {"file": source, "line": dead.line_number}
            letter = DeadLetter(DEAD_VERSION, "line", where, dead.reason, dead.hash, dead.length)
            letters.append(Append(None, source.encode(), encode(letter)))
        if letters:
            await self._log.append(DEAD, letters)
            self.done.dead_letters += len(letters)

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
