"""The connections of a collector: as many as the channels need, each kept open by a task of its own.

In: how many places are needed. Out: connections to join on. A line that fails is opened again after a growing pause;
the others go on. One that asked us to reconnect is *left*: it gets no more channels, a new one is opened at once, and
it ends when its last channel has moved, or after a bounded time.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final, Protocol

from streams.collect.irc import Message
from streams.collect.live.backoff import wait_s
from streams.collect.live.connection import CHANNELS, CLOSE_S, ConnectFailed, Connection, Endpoint, Timing, connect
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.port import Intake
from streams.collect.live.unanswered import DEAF

logger: Final = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LAST_PAUSE_S: Final = 15.0
STEADY_S: Final = 60.0
"""A connection that lived so long has put earlier failures behind it."""
EMPTY_S: Final = 30.0
"""An empty connection that is not needed is kept so long: the next channel may come soon."""
DRAIN_S: Final = 120.0
"""A connection that is being left ends after this, moved or not."""
SICK_FIRST_S: Final = 60.0
SICK_LAST_S: Final = 3_600.0
"""Distance of replacements that are our own idea (PINGs or JOINs unanswered): moving takes JOINs that others need."""


class Members(Protocol):
    """Whose channels are on the connections: the reconciler."""

    def opened(self, connection: Connection) -> None: ...
    def said(self, connection: Connection, message: Message, at_ms: int) -> None: ...
    def leave_soon(self, connection: Connection, why: str) -> None: ...
    def ended(self, connection: Connection, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class _Line:
    """One place for a connection. trouble: why it has none now, for people."""

    task: "asyncio.Task[None] | None" = None
    connection: Connection | None = None
    failures: int = 0
    trouble: str = ""
    retired: asyncio.Event = field(default_factory=asyncio.Event)


class Pool:
    """See the module. `attach` the members before the first `ensure`."""

    def __init__(
        self,
        endpoint: Endpoint,
        intake: Intake,
        metrics: CollectMetrics,
        *,
        timing: Timing | None = None,
        channels: int = CHANNELS,
        membership: bool = False,
        chance: random.Random | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """channels: most of one connection. membership: see Handshake. clock_ms: what stamps the bytes that are read,
        ms UTC."""
        self._clock_ms = clock_ms
        self._endpoint = endpoint
        self._intake = intake
        self._metrics = metrics
        self._timing = timing or Timing()
        self._channels = channels
        self._membership = membership
        self._chance = chance or random.Random()
        # Twitch counts logins as it counts JOINs.
        self._openings = Pacing()
        self._numbers = itertools.count(1)
        self._lines: list[_Line] = []
        self._left: set[_Line] = set()
        self._sick = 0
        self._sick_not_before_s = float("-inf")
        self._members: Members | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception where a line's task fails, a fault of ours: whoever runs the pool ends with it."""

    def attach(self, members: Members) -> None:
        """Who is told what connections meet."""
        self._members = members

    @property
    def members(self) -> Members:
        if self._members is None:
            raise RuntimeError("attach the reconciler first")
        return self._members

    # ---- what the reconciler asks ----------------------------------------------------------------------------------

    def ensure(self, places: int) -> None:
        """Have lines for that many channels; end empty ones beyond."""
        needed = -(-places // self._channels)
        while len(self._lines) < needed:
            self._lines.append(line := _Line())
            line.task = asyncio.create_task(self._keep(line))
            line.task.add_done_callback(self._note_failure)
        now_s = time.monotonic()
        for line in self._lines[::-1]:
            if len(self._lines) <= needed:
                break
            one = line.connection
            if one is None or (not one.channels and now_s - one.empty_since_s >= EMPTY_S):
                self._lines.remove(line)
                self._retire(line)

    def place(self, avoid: Container[int] = ()) -> Connection | None:
        """The open connection with most room; one whose number is in `avoid` only where no other has any."""
        with_room = [one for one in self._usable() if len(one.channels) < one.room]
        return min(with_room, key=lambda one: (one.number in avoid, len(one.channels)), default=None)

    def occupied(self) -> int:
        """Channels on connections that are not being left."""
        return sum(len(one.channels) for one in self._usable())

    def _usable(self) -> list[Connection]:
        return [line.connection for line in self._lines if line.connection is not None and line.connection.alive]

    def open_count(self) -> int:
        """Connections that are welcomed and open."""
        return len(self.connections())

    def emptied(self, connection: Connection) -> None:
        """Nothing is heard there any more."""
        connection.empty_since_s = time.monotonic()
        if connection.draining:
            connection.close("left")

    # ---- what connections tell (their Listener) --------------------------------------------------------------------

    def said(self, connection: Connection, message: Message, at_ms: int) -> None:
        """A message for the members."""
        self.members.said(connection, message, at_ms)

    def leave_soon(self, connection: Connection, why: str) -> None:
        """Open another connection first, then move the channels."""
        line = next((line for line in self._lines if line.connection is connection), None)
        if line is None:
            return  # it is being left already
        if why != "RECONNECT" and not self._may_replace_sick():
            return
        logger.info("connection %d is left: %s", connection.number, why)
        self._metrics.deaf_connections_total += why == DEAF
        connection.draining = True
        self._lines.remove(line)
        self._left.add(line)
        asyncio.get_running_loop().call_later(DRAIN_S, connection.close, "left")
        self.members.leave_soon(connection, why)

    def _may_replace_sick(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._sick_not_before_s:
            return False
        self._sick += 1
        self._sick_not_before_s = now_s + wait_s(self._sick, SICK_FIRST_S, SICK_LAST_S, self._chance)
        return True

    # ---- one line --------------------------------------------------------------------------------------------------

    async def _keep(self, line: _Line) -> None:
        while not line.retired.is_set() and line not in self._left:
            paced_s = self._openings.wait_s(time.monotonic())
            if paced_s > 0:
                await _pause(line.retired, paced_s)
                continue
            self._openings.take(time.monotonic())
            await self._hold_one(line)
            if line.failures and not line.retired.is_set() and line not in self._left:
                await _pause(line.retired, wait_s(line.failures, FIRST_PAUSE_S, LAST_PAUSE_S, self._chance))
        self._left.discard(line)

    async def _hold_one(self, line: _Line) -> None:
        """Open a connection and stay with it until it has ended."""
        connection = Connection(
            next(self._numbers),
            self._intake,
            self,
            self._metrics,
            self._chance,
            self._timing,
            room=self._channels,
            membership=self._membership,
            clock_ms=self._clock_ms,
        )
        self._metrics.connects_total += 1
        try:
            await connect(connection, self._endpoint, self._timing)
        except ConnectFailed as failed:
            line.failures += 1
            line.trouble = str(failed)
            self._metrics.connect_failures_total[failed.reason] += 1
            logger.warning("no connection: %s", failed)
            return
        began_s = time.monotonic()
        line.connection, line.trouble = connection, ""
        self._metrics.connected_total += 1
        logger.info("connection %d is open", connection.number)
        self.members.opened(connection)
        reason = "stopped"
        try:
            reason = await self._end_of(line, connection)
        finally:
            connection.abort(reason)
            line.connection, line.trouble = None, f"ended: {reason}"
            line.failures = 1 if time.monotonic() - began_s >= STEADY_S else line.failures + 1
            self._metrics.connections_ended_total[reason] += 1
            logger.info("connection %d ended: %s", connection.number, reason)
            self.members.ended(connection, reason)

    async def _end_of(self, line: _Line, connection: Connection) -> str:
        """Wait for its end; see to it once it is retired, or is being left for too long."""
        retired = asyncio.create_task(line.retired.wait())
        try:
            await asyncio.wait((connection.ended, retired), return_when=asyncio.FIRST_COMPLETED)
        finally:
            retired.cancel()
        if not connection.ended.done():
            connection.close("not needed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_S):
                    await asyncio.shield(connection.ended)
            connection.abort("not needed")
        return await connection.ended

    def _note_failure(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    def _retire(self, line: _Line) -> None:
        line.retired.set()
        self._left.add(line)

    # ---- for people and the end ------------------------------------------------------------------------------------

    def connections(self) -> list[Connection]:
        """Those that are welcomed and open."""
        held = (line.connection for line in (*self._lines, *self._left))
        return [one for one in held if one is not None and one.alive]

    def troubles(self) -> list[str]:
        """Why lines have no connection now."""
        return sorted({line.trouble for line in self._lines if line.connection is None and line.trouble})

    async def close(self) -> None:
        """Say goodbye on every connection and end it; takes at most a few seconds."""
        lines = [*self._lines, *self._left]
        self._lines.clear()
        for line in lines:
            self._retire(line)
        tasks = [line.task for line in lines if line.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=3 * CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
