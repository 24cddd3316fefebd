"""The server under a way's log, which the matrix kills like everything else: Kafka's broker or Postgres' postmaster."""

import asyncio
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from infra.kafka import DevKafka
from infra.postgres import EmbeddedPostgres


class Server:
    """Kill -9 and start again; remembers when it was away, since a worker may refuse to start just then."""

    def __init__(self, start: Callable[[], str], kill: Callable[[], None]) -> None:
        self._start = start
        self._kill = kill
        self._turn = asyncio.Lock()
        self.away: list[tuple[float, float]] = []
        """Monotonic seconds: killed, back."""
        self.kills = 0

    async def kill_and_restart(self) -> None:
        """Returns when it takes connections again."""
        async with self._turn:
            began_s = time.monotonic()
            await asyncio.to_thread(self._kill)
            self.kills += 1
            self.away.append((began_s, math.inf))
            await asyncio.to_thread(self._start)
            self.away[-1] = (began_s, time.monotonic())

    def was_away(self, from_s: float, to_s: float) -> bool:
        """Whether it was away at any moment of that time."""
        return any(killed_s <= to_s and back_s >= from_s for killed_s, back_s in self.away)


def broker(kafka: DevKafka) -> Server:
    """A Kafka broker that is already running."""
    return Server(kafka.start, kafka.kill)


def postmaster(postgres: EmbeddedPostgres) -> Server:
    """A Postgres that is already running."""

    def kill() -> None:
        pid = postgres.running_pid()
        assert pid is not None, "the postmaster is not running"
        os.kill(pid, signal.SIGKILL)

    return Server(postgres.start, kill)


def private_postgres(folder: Path) -> EmbeddedPostgres:
    """One of the matrix' own. Without fsync: what it has written survives a kill -9."""
    return EmbeddedPostgres(folder, durable=False)
