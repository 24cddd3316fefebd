"""Between the channels that are wanted and those that are heard: sends JOINs and PARTs when they are due.

In: the wanted set, and what connections tell. Out: JOIN and PART on connections of the pool. Without tasks of its own:
`step` does what is due and says when it wants to be called again; `run` calls it.

JOINs are paced over the whole process, so their order matters: first what was heard a moment ago or must move, then
what was newly wanted (the latest wish first, so that one channel added does not wait behind a flood of others), last
what was refused before: a flood of dead channels takes only the JOINs that nobody else needs.
"""

import asyncio
import heapq
import logging
import re
from collections import deque
from typing import Final

from streams.collect.irc import Message
from streams.collect.live.answers import Answers
from streams.collect.live.connection import Connection
from streams.collect.live.membership import Channel, ChannelState
from streams.collect.live.metrics import Levels
from streams.collect.live.notices import Refusal, refusal_of
from streams.collect.live.pacing import Pacing
from streams.collect.live.port import MAX_CHANNELS, WantedChannels
from streams.collect.live.roster import AGAIN, NEW, REFUSED, Roster
from streams.collect.live.unanswered import DEAF

logger: Final = logging.getLogger(__name__)

JOIN_ANSWER_S: Final = 10.0
LEAVE_S: Final = 5.0
"""How long the echo of a PART is waited for."""
AHEAD: Final = 18
"""Places that are held ready for channels not joined yet: one window's JOINs."""
LOOK_S: Final = 1.0
"""`step` is called at least so often."""
_LOGIN: Final = re.compile(r"[a-z0-9_]{1,64}")


class Reconciler:
    """See the module. Everything happens on the event loop's thread."""

    def __init__(self, roster: Roster, pacing: Pacing) -> None:
        self._roster = roster
        self._pacing = pacing
        self._answers = Answers(roster, pacing)
        self._asked: deque[tuple[float, Channel, Connection]] = deque()
        self._leaving: deque[tuple[float, Channel]] = deque()
        self._wake = asyncio.Event()

    # ---- what is wanted --------------------------------------------------------------------------------------------

    async def follow(self, wanted: WantedChannels) -> None:
        """Take every change in, until cancelled."""
        async for logins in wanted.changes():
            self.want(logins)

    def want(self, logins: frozenset[str]) -> None:
        """The whole set that is wanted now. Names that are no login, and those over MAX_CHANNELS, are passed over and
        counted: a name becomes part of a command to the server."""
        roster = self._roster
        good = sorted(login for login in logins if _LOGIN.fullmatch(login))[:MAX_CHANNELS]
        if len(good) < len(logins):
            roster.metrics.wanted_refused_total += len(logins) - len(good)
            logger.warning("%d wanted names are no logins or too many, and are passed over", len(logins) - len(good))
        roster.wish -= 1
        now = set(good)
        for channel in [one for one in roster.channels.values() if one.wanted and one.login not in now]:
            self._unwant(channel)
        for login in good:
            channel = roster.channels.get(login) or roster.add(login)
            channel.wanted = True
            roster.enqueue(channel, NEW)
            roster.settle(channel)
        self._wake.set()

    def _unwant(self, channel: Channel) -> None:
        channel.wanted = False
        channel.retry_at_s = channel.retry_at_ms = None
        channel.reason = ""
        for connection in (channel.home, channel.former, channel.asked):
            if connection is not None:
                self._roster.part(channel, connection)
        self._roster.settle(channel)
        self._leaving.append((self._roster.clock_s() + LEAVE_S, channel))

    # ---- what connections tell (the pool calls) --------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A connection was welcomed."""
        self._wake.set()

    def said(self, connection: Connection, message: Message, at_ms: int) -> None:
        """A message of a server."""
        if (refused := refusal_of(message)) is not None:
            channel = self._roster.channels.get(refused.login)
            if channel is not None and channel.asked is connection:
                self._roster.unanswered.answered(connection.number)
        self._answers.said(connection, message, at_ms)
        self._wake.set()

    def leave_soon(self, connection: Connection, why: str) -> None:
        """Move its channels: each is heard elsewhere before it is left here. `draining` is set already."""
        roster = self._roster
        for login in sorted(connection.channels):
            channel = roster.channels[login]
            if channel.asked is connection:
                roster.leave(channel, connection)
            roster.note(channel, "move", why)
            roster.enqueue(channel, AGAIN)
            roster.settle(channel)
        if not connection.channels:
            roster.pool.emptied(connection)
            if why == DEAF:
                for channel in roster.channels.values():
                    channel.forget_unanswered(connection.number)  # the connection's silence, not the channel's
        self._wake.set()

    def ended(self, connection: Connection, reason: str) -> None:
        """The connection is gone: what was heard there only is lost, and joined again elsewhere, first of all."""
        roster = self._roster
        roster.unanswered.ended(connection.number)
        for login in sorted(connection.channels):
            channel = roster.channels[login]
            heard = channel.home is connection
            roster.leave(channel, connection)
            if heard and channel.home is None:
                roster.metrics.channels_lost_total += 1
                channel.reason = f"connection ended: {reason}"
                roster.note(channel, "connection", f"ended: {reason}")
            roster.enqueue(channel, AGAIN)
            roster.settle(channel)
        self._wake.set()

    # ---- what is due -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            self._wake.clear()
            due_s = self.step()
            try:
                async with asyncio.timeout(due_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def step(self) -> float:
        """Do what is due now. Returns the seconds after which to call again, where nothing happens before."""
        roster, now_s = self._roster, self._roster.clock_s()
        doubted: dict[Connection, None] = {}
        while self._asked and self._asked[0][0] <= now_s:
            due_s, channel, connection = self._asked.popleft()
            if channel.asked is connection and channel.ask_until_s == due_s:
                self._unanswered(channel, connection)
                doubted[connection] = None
        for connection in doubted:
            self._leave_if_deaf(connection)
        while roster.formers and roster.formers[0][0] <= now_s:
            _, channel, former = roster.formers.popleft()
            if channel.former is former:
                roster.part(channel, former)
        while self._leaving and self._leaving[0][0] <= now_s:
            _, channel = self._leaving.popleft()
            if not channel.wanted:
                roster.forget(channel)
        while roster.retries and roster.retries[0][0] <= now_s:
            due_s, _, channel = heapq.heappop(roster.retries)
            if channel.wanted and channel.retry_at_s == due_s:
                channel.retry_at_s = channel.retry_at_ms = None
                roster.enqueue(channel, REFUSED)
                roster.settle(channel)
        self._join(now_s)
        due = [now_s + LOOK_S]
        due += [line[0][0] for line in (self._asked, self._leaving, roster.formers, roster.retries) if line]
        if roster.queue and (paced_s := self._pacing.wait_s(now_s)) > 0:
            due.append(now_s + paced_s)
        return max(0.001, min(due) - now_s)

    def _join(self, now_s: float) -> None:
        roster = self._roster
        roster.pool.ensure(roster.pool.occupied() + min(AHEAD, len(roster.queue)))
        joins: dict[Connection, list[str]] = {}
        while roster.queue:
            channel = roster.queue[0][3]
            if channel.to_be_joined:
                connection = roster.pool.place(roster.unanswered.avoided(channel))
                if connection is None:
                    break
                if not self._pacing.take(now_s):
                    roster.metrics.joins_waited_total += 1
                    break
                channel.ask(connection, now_s + JOIN_ANSWER_S)
                self._asked.append((channel.ask_until_s, channel, connection))
                joins.setdefault(connection, []).append(channel.login)
                roster.settle(channel)
            heapq.heappop(roster.queue)
            channel.queued = False
        self._pacing.settle()  # a process that is killed in between has used them
        for connection, logins in joins.items():
            roster.metrics.joins_total += len(logins)
            connection.join(logins)

    def _unanswered(self, channel: Channel, connection: Connection) -> None:
        """Twitch says nothing at all to a JOIN of a channel that does not exist."""
        self._roster.metrics.joins_timed_out_total += 1
        connection.parting.discard(channel.login)
        self._roster.unanswered.timed_out(channel, connection.number)
        self._roster.leave(channel, connection)
        if channel.home is None:
            self._roster.park(channel, Refusal.NO_ANSWER, f"connection {connection.number}")
        else:
            self._roster.enqueue(channel, REFUSED)

    def _leave_if_deaf(self, connection: Connection) -> None:
        """It may answer PINGs all the same; the pool bounds how often connections are replaced for such reasons."""
        roster = self._roster
        hears = any(roster.channels[login].home is connection for login in connection.channels)
        if not connection.draining and roster.unanswered.is_deaf(connection.number, hears=hears):
            roster.pool.leave_soon(connection, DEAF)

    # ---- for people ------------------------------------------------------------------------------------------------

    def states(self) -> list[ChannelState]:
        """Every channel as it stands, by login."""
        return self._roster.states()

    def levels(self) -> Levels:
        """The gauges."""
        return self._roster.levels()
