"""An Intake for tests of connections and channels: keeps what it was told, knows chat from the rest by the verb."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from streams.collect.irc import Malformed, parse_line
from streams.collect.live.port import Act, nobody_acts

CHAT: Final = frozenset((b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG"))
PATIENCE_S: Final = 30.0


class Told(NamedTuple):
    """One call: `observing`, `lost`, or `chat` with a line."""

    what: str
    login: str
    connection: int
    room_id: str | None = None


class RecordingIntake:
    """See the module. received_ms: connection -> the last time that whole lines of it arrived."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.received_ms: dict[int, int] = {}
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        self._tell(Told("observing", login, connection, room_id))

    def received(self, connection: int, lines: bytes, at_ms: int, act: Act = nobody_acts) -> None:
        self.received_ms[connection] = at_ms
        for line in lines.splitlines():
            try:
                message = parse_line(line)
            except Malformed:
                act(line, at_ms)
                continue
            if message.verb in CHAT:
                self._tell(Told("chat", message.params[1].decode(), connection))
            else:
                act(line, at_ms)

    def lost(self, login: str, connection: int) -> None:
        self._tell(Told("lost", login, connection))

    def of(self, what: str) -> list[Told]:
        """The calls of one kind, in order."""
        return [one for one in self.told if one.what == what]

    def observed(self) -> set[tuple[str, int]]:
        """(login, connection) observed now."""
        now: set[tuple[str, int]] = set()
        for one in self.told:
            if one.what == "observing":
                now.add((one.login, one.connection))
            elif one.what == "lost":
                now.remove((one.login, one.connection))  # what was never observed cannot be lost
        return now

    async def until(self, what: Callable[["RecordingIntake"], bool]) -> None:
        """Wait until that is so."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: what(self))

    def _tell(self, one: Told) -> None:
        self.told.append(one)
        task = asyncio.ensure_future(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()
