"""Says the chat of a feed to whoever joined, at its times. Feed -> blocks -> sessions, ledger, history."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from streams.collect.twitch_sim.block import Block, Numbers
from streams.collect.twitch_sim.feed import Feed
from streams.collect.twitch_sim.ledger import NEVER, NOBODY, SentLedger
from streams.collect.twitch_sim.session import Session

TICK_S: Final = 0.02
"""How often chat that is due is said."""
UNPACED_ROWS: Final = 4096
"""Said at once where nothing is paced."""


@dataclass(frozen=True, slots=True)
class Pace:
    """speed: seconds of chat a second, 0: as fast as the clients read. restamp: lines bear the time at which they are
    said, as a collector that compares clocks wants; they keep how far they are out of order."""

    speed: float = 1.0
    restamp: bool = True


class Listener(Protocol):
    """Hears everything that is said, whoever joined."""

    def heard(self, block: Block, start: int, end: int, now_ms: int) -> None: ...


class Stage:
    """One play of one feed. sessions: those connected now."""

    def __init__(self, feed: Feed, ledger: SentLedger, pace: Pace) -> None:
        self.sessions: list[Session] = []
        self.ledger = ledger
        self.lines_said = 0
        self.listeners: list[Listener] = []
        self._feed = feed
        self._pace = pace

    async def play(self) -> None:
        """Say all of it; ends when the feed does."""
        began_s, first_ms = time.monotonic(), None
        for block in self._feed.blocks():
            start = 0
            while start < len(block):
                if not self._pace.speed:
                    end = min(start + UNPACED_ROWS, len(block))
                else:
                    first_ms = int(block.arrival[0]) if first_ms is None else first_ms
                    due_ms = first_ms + (time.monotonic() - began_s) * 1000 * self._pace.speed
                    end = int(np.searchsorted(block.arrival, due_ms, "right"))
                if end > start:
                    self.say(block, start, end)
                    start = end
                if not self._pace.speed:
                    await drained(self.sessions)
                elif start < len(block):
                    await asyncio.sleep(TICK_S)
            await asyncio.sleep(0)

    def say(self, block: Block, start: int, end: int) -> None:
        """Rows [start, end) of a block are said now."""
        now_ms = time.time_ns() // 1_000_000
        if self._pace.restamp:
            block.stamp(start, end, now_ms)
        block.derive(start, end)
        unheard = np.ones(end - start, np.bool_)
        for session in self.sessions:
            rows = session.hears(block, start, end)
            if len(rows):
                ends = session.say(block, rows)
                self.ledger.add(block, rows, session.number, ends, now_ms)
                unheard[rows - start] = False
        self.ledger.add(block, np.flatnonzero(unheard) + start, NOBODY, NEVER, now_ms)
        for listener in self.listeners:
            listener.heard(block, start, end, now_ms)
        self.lines_said += end - start

    def say_again(self, session: Session, block: Block, rows: Numbers) -> None:
        """The same lines once more, to one client, as they were."""
        if len(rows := rows[session.joined[block.channel[rows]]]):
            self.ledger.add(block, rows, session.number, session.say(block, rows), time.time_ns() // 1_000_000)


async def drained(sessions: Iterable[Session]) -> None:
    """Until every client has read enough that more may be said."""
    for session in list(sessions):
        await session.outlet.drained()
    await asyncio.sleep(0)
