"""The local Twitch: composes wire, sessions, stage and misbehaviours into one server that starts and stops."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.errors import TwzrdError
from streams.collect.simulation.dice import Dice
from streams.collect.twitch_sim import dialect
from streams.collect.twitch_sim.certificates import server_context
from streams.collect.twitch_sim.faults import Rule, run_schedule, schedule
from streams.collect.twitch_sim.feed import Feed
from streams.collect.twitch_sim.ledger import SentLedger
from streams.collect.twitch_sim.misbehaviour import Misbehaviour
from streams.collect.twitch_sim.outlet import Outlet
from streams.collect.twitch_sim.recent import RecentMessages
from streams.collect.twitch_sim.rooms import JOIN_LIMIT, Rooms
from streams.collect.twitch_sim.session import House, Session
from streams.collect.twitch_sim.stage import Pace, Stage
from streams.collect.twitch_sim.wire import Wire

CLOSING_S: Final = 1.0
"""How long clients have to read the end."""


class ServeError(TwzrdError):
    """The server cannot listen where it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimOptions:
    """host, port: where it listens, port 0 a free one. pace, faults, seed: how chat is said, and what goes wrong.
    wait_joins: chat begins when clients have joined so many channels in all. join_limit, rate_notice, unknown_notice:
    see House. ping_every_s: the server's own PINGs; a client that does not answer within ping_timeout_s is closed.
    ledger_folder: where the ledger goes instead of memory. history_port: of the recent-messages service, None: none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    pace: Pace = field(default_factory=Pace)
    faults: Sequence[Rule] = ()
    seed: int = 0
    wait_joins: int = 0
    join_limit: int = JOIN_LIMIT
    rate_notice: bool = False
    unknown_notice: bool = False
    ping_every_s: float = 300.0
    ping_timeout_s: float = 60.0
    ledger_folder: Path | None = None
    history_port: int | None = None


class TwitchSim:
    """`async with TwitchSim(feed, SimOptions()) as twitch:` serves until the block ends.

    address: (host, port); ca_pem: the authority to trust; ledger: what was said; misbehave: the control API; counts:
    what happened. Everything runs in the event loop that started it.
    """

    misbehave: Misbehaviour

    def __init__(self, feed: Feed, options: SimOptions) -> None:
        """Raises LedgerError where the ledger's folder cannot be written."""
        self.options = options
        self.rooms = Rooms(feed.rooms)
        self.ledger = SentLedger([login for login, _ in feed.rooms], options.ledger_folder)
        self.counts: Counter[str] = Counter()
        self.context, self.ca_pem = server_context(options.host)
        self.address = (options.host, 0)
        self.recent = RecentMessages(self.rooms) if options.history_port is not None else None
        self._house = House(
            self.rooms, options.join_limit, options.rate_notice, options.unknown_notice, counts=self.counts
        )
        self._stage = Stage(feed, self.ledger, options.pace)
        self._house.sessions = self._stage.sessions
        if self.recent is not None:
            self._stage.listeners.append(self.recent)
        self._dice = Dice(options.seed, 4)
        self._began = asyncio.Event()
        self._joins = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._left = asyncio.Event()

    @property
    def sessions(self) -> list[Session]:
        """The clients that are connected now, in order of their arrival."""
        return self._stage.sessions

    @property
    def lines_said(self) -> int:
        """Lines of chat so far, heard by anybody or not."""
        return self._stage.lines_said

    async def __aenter__(self) -> "TwitchSim":
        loop, options = asyncio.get_running_loop(), self.options
        self.misbehave = Misbehaviour(self._stage, self._house, self._dice)
        try:
            self._server = await loop.create_server(self._wire, options.host, options.port, backlog=1024)
            self.address = self._server.sockets[0].getsockname()[:2]
            if self.recent is not None:
                await self.recent.start(options.host, options.history_port or 0)
        except OSError as error:
            raise ServeError(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from error
        if not options.wait_joins:
            self._began.set()
        self._tasks = [asyncio.create_task(self._play()), asyncio.create_task(self._ping())]
        if options.faults:
            faults = schedule(options.faults, options.seed)
            self._tasks.append(
                asyncio.create_task(run_schedule(faults, self.misbehave, lambda: self.sessions, self.counts))
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._left.clear()
        for session in list(self.sessions):
            session.wire.close()
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(TimeoutError):  # who does not read the end is cut
            async with asyncio.timeout(CLOSING_S if self.sessions else 0):
                await self._left.wait()
        for session in list(self.sessions):
            session.wire.cut()
        await asyncio.sleep(0)
        if self.recent is not None:
            await self.recent.stop()
        self._note_flushed()
        self.ledger.close()

    def begin(self) -> None:
        """Chat begins now, whoever joined."""
        self._began.set()

    async def finished(self) -> None:
        """Until the feed has ended. Raises FeedError where it broke."""
        await asyncio.shield(self._tasks[0])

    async def _play(self) -> None:
        await self._began.wait()
        await self._stage.play()

    async def _ping(self) -> None:
        """The server's own PINGs, and what the wires say of what was flushed."""
        loop, options = asyncio.get_running_loop(), self.options
        while True:
            await asyncio.sleep(min(1.0, options.ping_every_s / 4))
            self._note_flushed()
            for session in list(self.sessions):
                now_s = loop.time()
                if session.said_ping_s is not None and now_s - session.said_ping_s > options.ping_timeout_s:
                    self.counts["ping_timeouts"] += 1
                    session.wire.close()
                elif session.nick and now_s - session.last_ping_s >= options.ping_every_s:
                    session.last_ping_s = now_s
                    session.said_ping_s = session.said_ping_s or now_s
                    session.outlet.put(dialect.PING)

    def _note_flushed(self) -> None:
        for session in self.sessions:
            self.ledger.flushed[session.number] = session.wire.flushed_bytes

    def _wire(self) -> Wire:
        """A client connects."""
        wire = Wire(self.context)
        self.counts["connections"] += 1
        number = self.counts["connections"]
        outlet = Outlet(wire, Dice(self.options.seed, 5, number))
        session = Session(number, wire, outlet, self._house, asyncio.get_running_loop().time)

        def joined() -> None:
            self._joins += 1
            if self.options.wait_joins and self._joins >= self.options.wait_joins:
                self._began.set()

        def ended() -> None:
            self.ledger.flushed[number] = wire.flushed_bytes
            outlet.forget()
            with contextlib.suppress(ValueError):  # it never got through its handshake
                self.sessions.remove(session)
                session.gone()
            if not self.sessions:
                self._left.set()

        session.on_join = joined
        wire.on_open = lambda: self.sessions.append(session)
        wire.on_end = ended
        return wire
