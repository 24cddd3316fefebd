"""Waking readers: who waits for a partition's next record is told at once, in this process and in others.

A commit is followed, not accompanied, by a NOTIFY (one packet with the commit): inside the transaction it would make
all writers of the database queue for one lock while they flush. A writer killed between the two tells nobody, so a
reader also looks by itself now and then.
"""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from streams.log.port import LogError
from streams.log.postgres.appending import Written
from streams.log.postgres.connections import LOST, Connections, Counters

CHANNEL: Final = "twzrd_log"
_MAX_PAYLOAD: Final = 7_000
"""Postgres takes less than 8,000 bytes; longer ones become "all"."""
_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class Waking:
    """Readers wait here by (stream id, partition); a listening connection wakes them for other processes' commits."""

    def __init__(self, connections: Connections, counters: Counters) -> None:
        self._connections = connections
        self._counters = counters
        self._sender = secrets.token_hex(4)
        self._waiting: dict[tuple[int, int], set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.listening = asyncio.Event()

    async def open(self) -> None:
        connection = await self._connect()
        self._task = asyncio.create_task(self._keep_listening(connection), name="log listener")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.wake_all()

    def enter(self, stream_id: int, partition: int) -> asyncio.Event:
        """Register before looking for records; the event is set when there may be more. Leave in any case."""
        event = asyncio.Event()
        self._waiting.setdefault((stream_id, partition), set()).add(event)
        return event

    def leave(self, stream_id: int, partition: int, event: asyncio.Event) -> None:
        waiting = self._waiting.get((stream_id, partition), set())
        waiting.discard(event)
        if not waiting:
            self._waiting.pop((stream_id, partition), None)

    def wake(self, written: Iterable[Written]) -> None:
        """Wake this process's readers."""
        for one in written:
            for partition in one.partitions:
                self._set(one.stream.id, partition)

    def wake_all(self) -> None:
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    def announcement(self, written: Iterable[Written]) -> str:
        """The NOTIFY for what was written: `sender/stream:partition,partition;stream:…`."""
        places = ";".join(f"{one.stream.id}:{','.join(map(str, one.partitions))}" for one in written)
        if not places:
            return ""
        return f"notify {CHANNEL}, '{self._sender}/{places if len(places) <= _MAX_PAYLOAD else 'all'}'"

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        sender, _, places = payload.partition("/")
        if sender == self._sender:
            return  # woken already, by our own commit
        self._counters.notifications += 1
        if places == "all":
            self.wake_all()
            return
        for place in places.split(";"):
            stream_id, _, partitions = place.partition(":")
            for partition in partitions.split(","):
                if stream_id.isdecimal() and partition.isdecimal():
                    self._set(int(stream_id), int(partition))

    def _set(self, stream_id: int, partition: int) -> None:
        for event in self._waiting.get((stream_id, partition), ()):
            event.set()

    async def _connect(self) -> Any:
        connection = await self._connections.connect()
        self._ended = ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        with self._connections.told("listening"):
            await connection.add_listener(CHANNEL, self._heard)
        self.listening.set()
        return connection

    async def _keep_listening(self, connection: Any) -> None:
        failures = 0
        try:
            while True:
                if connection is not None:
                    await self._ended.wait()
                    self.listening.clear()
                    connection = None
                    self.wake_all()  # whatever was said meanwhile went past us
                try:
                    connection = await self._connect()
                except LogError:
                    await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                    failures += 1
                    continue
                failures = 0
                self._counters.listener_reconnects += 1
                self.wake_all()
        finally:
            if connection is not None:
                with suppress(asyncpg.PostgresError, *LOST):
                    connection.terminate()
