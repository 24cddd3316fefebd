"""The channels of a collector and what can be done with one: queue it, park it, part it, forget it, report it.

Between the reconciler, which knows what is due, and `answers`, which knows what servers said; both change channels only
through here, so that Intake, connections, counters and reports always hear of the same step.
"""

import asyncio
import heapq
import itertools
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Final, Protocol

from streams.collect.live.backoff import wait_s
from streams.collect.live.connection import Connection
from streams.collect.live.membership import RETRY_S, Attempt, Channel, ChannelState
from streams.collect.live.metrics import CollectMetrics, Levels
from streams.collect.live.notices import Refusal
from streams.collect.live.port import Intake
from streams.collect.live.unanswered import UnansweredJoins

AGAIN, NEW, REFUSED = range(3)
"""Classes of the queue: heard a moment ago or to be moved; newly wanted; refused before."""
OVERLAP_S: Final = 3.0
"""How long a moved channel is heard on both connections: claims stay 1 s behind the last byte (design: Time)."""
MAX_PARTING: Final = 1_000
"""PARTs of one connection without their echo: ten times the channels that it has."""


ASTRAY: Final = frozenset({Refusal.NO_ANSWER, Refusal.NOT_FOUND, Refusal.SUSPENDED, Refusal.PUT_OUT})
"""How a login that was given up looks from here: its channel may bear another one."""


class Connections(Protocol):
    """What is asked of the pool."""

    def ensure(self, places: int) -> None:
        """Have connections for that many channels, open or being opened; end empty ones beyond."""

    def place(self, avoid: Container[int] = ()) -> Connection | None:
        """The connection to join the next channel on, one of `avoid` only where no other has room; None where no open
        one has any."""

    def occupied(self) -> int:
        """Channels on connections that are not being left."""

    def open_count(self) -> int:
        """Connections that are welcomed and open."""

    def emptied(self, connection: Connection) -> None:
        """Nothing is heard there any more: where it is being left, it can end."""

    def leave_soon(self, connection: Connection, why: str) -> None:
        """Another connection is opened, the channels move, then this one ends."""


class Reports(Protocol):
    """Who publishes how channels stand. Calls do not wait."""

    def report(
        self,
        login: str,
        state: str,
        reason: str = "",
        room_id: str | None = None,
        *,
        since_ms: int | None = None,
        tried: Sequence[Attempt] = (),
    ) -> None:
        """The channel stands so now, since since_ms (None: now); tried: what was, oldest first."""


class Roster:
    """See the module. room_id_of: the room id that a login had when it was heard last, in this process or before, where
    that is known. clock_s: the loop's clock; clock_ms: the wall's."""

    def __init__(
        self,
        pool: Connections,
        intake: Intake,
        metrics: CollectMetrics,
        *,
        reports: Reports | None = None,
        room_id_of: Callable[[str], str | None] = lambda login: None,
        chance: random.Random | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.pool = pool
        self.intake = intake
        self.metrics = metrics
        self.clock_s = clock_s
        self.clock_ms = clock_ms
        self.channels: dict[str, Channel] = {}
        self.unanswered = UnansweredJoins()
        self.by_room: dict[str, str] = {}
        """room-id -> the login under which it was heard last."""
        self.wish = 0
        """Falls with every change of the wanted set, so that the heap gives the latest wish first."""
        self.queue: list[tuple[int, int, int, Channel]] = []
        """Heap of (class, wish, count, channel) to be joined; entries that are no longer right are passed over."""
        self.retries: list[tuple[float, int, Channel]] = []
        """Heap of (when, count, channel) of parked ones; entries that are no longer right are passed over."""
        self.formers: deque[tuple[float, Channel, Connection]] = deque()
        """(when, channel, connection it moved from)."""
        self.went_astray = asyncio.Event()
        """Set when another channel does not answer under its login though its room id is known."""
        self._astray: dict[Channel, None] = {}
        self._reports = reports
        self._room_id_of = room_id_of
        self._chance = chance or random.Random()
        self._count = itertools.count()

    def add(self, login: str) -> Channel:
        """A channel that was not known."""
        channel = self.channels[login] = Channel(login, self.clock_ms(), room_id=self._room_id_of(login))
        self._report(channel)
        return channel

    def enqueue(self, channel: Channel, order: int) -> None:
        """To be joined, where that is due and not queued already."""
        if channel.to_be_joined and not channel.queued:
            channel.queued = True
            heapq.heappush(self.queue, (order, self.wish, next(self._count), channel))

    def heard(self, channel: Channel, connection: Connection) -> None:
        """The server confirmed it there. Where it was heard elsewhere, it is left there a moment later."""
        now_s = self.clock_s()
        self.metrics.joins_confirmed_total += 1
        self.unanswered.answered(connection.number)
        if channel.former is connection:
            channel.former = None  # back to where it came from
        self._astray.pop(channel, None)
        before = channel.confirm(connection, now_s)
        self.note(channel, "JOIN", sys.intern(f"confirmed on connection {connection.number}"))  # all of it share it
        if before is not None:
            self.metrics.moves_total += 1
            if channel.former is not None:
                self.part(channel, channel.former)
            channel.former = before
            self.formers.append((now_s + OVERLAP_S, channel, before))
        self.enqueue(channel, AGAIN)  # confirmed late, on a connection that is being left

    def leave(self, channel: Channel, connection: Connection) -> None:
        """It is not joined or asked for there any more; the Intake is told where it was heard."""
        if channel.leave(connection, self.clock_s()):
            self.intake.lost(channel.login, connection.number)
        if not connection.channels:
            self.pool.emptied(connection)

    def part(self, channel: Channel, connection: Connection) -> None:
        """Leave it there and say so to the server."""
        self.send_part(connection, channel.login)
        self.leave(channel, connection)

    def send_part(self, connection: Connection, login: str) -> None:
        """PART; until its echo, what that connection says of the channel is of the past. A server that goes on
        confirming what nobody asked for is left: it need not echo."""
        if len(connection.parting) >= MAX_PARTING:
            connection.abort("channels forced on us")
            return
        self.metrics.parts_total += 1
        connection.parting.add(login)
        connection.part([login])

    def park(self, channel: Channel, refusal: Refusal, word: str) -> None:
        """Wait before the next try, longer with every failure in a row."""
        channel.failures += 1
        first_s, last_s = RETRY_S[refusal]
        pause_s = wait_s(channel.failures, first_s, last_s, self._chance)
        due_s = self.clock_s() + pause_s
        channel.park(refusal.value, due_s, self.clock_ms() + int(pause_s * 1000))
        heapq.heappush(self.retries, (due_s, next(self._count), channel))
        self.note(channel, "JOIN", f"{refusal.value} ({word}); again in {pause_s:.0f} s")
        self.settle(channel)
        if refusal in ASTRAY and channel.room_id is not None and channel not in self._astray:
            self._astray[channel] = None
            self.went_astray.set()

    def still_astray(self) -> list[Channel]:
        """Wanted channels of a known room id that are not heard since their login was refused; longest ago first."""
        return [one for one in self._astray if one.wanted and one.room_id is not None]

    def forget(self, channel: Channel) -> None:
        """It is not wanted and was left."""
        if self.channels.get(channel.login) is not channel:
            return
        del self.channels[channel.login]
        self._astray.pop(channel, None)
        if channel.room_id is not None and self.by_room.get(channel.room_id) == channel.login:
            del self.by_room[channel.room_id]
        if self._reports is not None:
            self._reports.report(channel.login, "left", "no longer wanted", channel.room_id, tried=channel.tried)

    def note(self, channel: Channel, what: str, outcome: str) -> None:
        """Remember an attempt; the next report tells it."""
        channel.note(self.clock_ms(), what, outcome)

    def remark(self, channel: Channel, what: str, outcome: str) -> None:
        """Remember an attempt of somebody beside the reconciler, and report it at once: no change of state will."""
        self.note(channel, what, outcome)
        self._report(channel)

    def settle(self, channel: Channel) -> None:
        """Report the channel where its state changed."""
        if channel.state != channel.shown:
            self._report(channel)

    def _report(self, channel: Channel) -> None:
        if channel.state != channel.shown:
            channel.shown, channel.since_ms = channel.state, self.clock_ms()
        if self._reports is not None:
            self._reports.report(
                channel.login,
                channel.state,
                channel.reason,
                channel.room_id,
                since_ms=channel.since_ms,
                tried=channel.tried,
            )

    def states(self) -> list[ChannelState]:
        """Every channel as it stands, by login."""
        return [channel.seen() for _, channel in sorted(self.channels.items())]

    def levels(self) -> Levels:
        """The gauges."""
        states = [channel.state for channel in self.channels.values()]
        heard = states.count("joined") + states.count("moving")
        return Levels(
            wanted=len(states) - states.count("leaving"),
            joined=heard,
            joining=states.count("joining"),
            waiting=states.count("wanted"),
            parked=states.count("parked"),
            connections=self.pool.open_count(),
        )
