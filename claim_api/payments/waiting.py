"""Who waits for a claim's next state. One connection listens for the whole process and wakes those who wait.

In: notices of the payer. Out: an event for each waiting request. While the connection is away nobody is woken, and
each request ends with what it finds when its time is up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from claim_api.database_faults import FAULTS
from claim_api.ledger.moves import STATES_NOTIFY
from claim_api.retrying import Backoff

_log: Final = logging.getLogger(__name__)
MAX_WAITING: Final = 256
"""Requests that wait at once; one more is answered at once."""


class Waiting:
    """connect: makes the connection that listens."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], most: int = MAX_WAITING) -> None:
        self._connect, self._most = connect, most
        self._events: dict[int, set[asyncio.Event]] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()
        self.turned_away = 0

    def __len__(self) -> int:
        return self._count

    def start(self) -> None:
        """Begins to listen; needs no database yet."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Wakes everybody and lets the connection go."""
        for events in self._events.values():
            for event in events:
                event.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextlib.contextmanager
    def entered(self, claim_id: int) -> Iterator[asyncio.Event | None]:
        """An event that is set when the claim may have changed: enter before looking at it. None over the bound."""
        if self._count >= self._most:
            self.turned_away += 1
            yield None
            return
        event = asyncio.Event()
        self._events.setdefault(claim_id, set()).add(event)
        self._count += 1
        try:
            yield event
        finally:
            self._count -= 1
            events = self._events[claim_id]
            events.discard(event)
            if not events:
                del self._events[claim_id]

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if payload.isdecimal():
            for event in self._events.get(int(payload), ()):
                event.set()

    async def _listen(self) -> None:
        backoff, never = Backoff(), asyncio.Event()
        while True:
            connection: Any = None
            try:
                connection = await self._connect()
                ended = asyncio.Event()
                connection.add_termination_listener(lambda _, ended=ended: ended.set())
                await connection.add_listener(STATES_NOTIFY, self._heard)
                self.listening.set()
                backoff.reset()
                await ended.wait()
            except FAULTS as error:
                _log.warning("claims' states are not heard: %s: %s", type(error).__name__, error)
            finally:
                self.listening.clear()
                if connection is not None:
                    connection.terminate()
            await backoff.wait(never)
