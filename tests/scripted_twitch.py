"""A chat server for tests: Twitch's dialect over real TLS with an own authority, and Twitch's misbehaviours.

One listener on a free port of 127.0.0.1, in the test's own event loop. By itself it does what Twitch does; a test turns
its knobs (`caps`, `join_answer`, …) or takes a session and speaks for the server. Every wait is for something said, and
bounded by PATIENCE_S.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import trustme

PATIENCE_S: Final = 30.0
HOST: Final = "localhost"


class Authority:
    """A certificate authority of the test's own. ca_file: its certificate, to be trusted."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def server_context(self, name: str = HOST) -> ssl.SSLContext:
        """TLS of a server whose certificate bears that name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        return context


@dataclass(eq=False)
class Session:
    """One client's connection. `received`: its lines, without their ends."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    nick: bytes = b""
    received: list[bytes] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)
    ended: bool = False
    mute: bool = False
    """Nothing is answered any more, though the connection stays."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def say(self, *lines: bytes) -> None:
        """Send lines."""
        self.raw(b"".join(line + b"\r\n" for line in lines))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self.writer.is_closing():
            self.writer.write(data)

    def chat(self, channel: str, text: str, number: int = 0, room_id: int = 1) -> None:
        """A chat line."""
        self.say(
            b"@id=00000000-0000-0000-0000-%012x;room-id=%d;tmi-sent-ts=1774000000000;user-id=7 "
            b":viewer!viewer@viewer.tmi.twitch.tv PRIVMSG #%s :%s" % (number, room_id, channel.encode(), text.encode())
        )

    def cut(self) -> None:
        """End it without a goodbye."""
        self.writer.transport.abort()

    def half_close(self) -> None:
        """No more bytes from the server, though it would read on."""
        number = os.dup(self.writer.get_extra_info("socket").fileno())  # uvloop's own socket object cannot
        with socket.socket(fileno=number) as same:
            same.shutdown(socket.SHUT_WR)

    async def until(self, what: Callable[["Session"], bool]) -> None:
        """Wait until that is so."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: what(self))

    async def until_received(self, start: bytes, times: int = 1) -> None:
        """Wait for so many lines that begin so."""
        await self.until(lambda one: sum(line.startswith(start) for line in one.received) >= times)

    async def news(self) -> None:
        """Something changed."""
        async with self._news:
            self._news.notify_all()


class ScriptedTwitch:
    """The server. `sessions`: every client so far, in order."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._server: asyncio.Server | None = None
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.sessions: list[Session] = []
        self.caps: Literal["ACK", "NAK", "unknown"] = "ACK"
        self.welcome: bool = True
        self.pong: Callable[[bytes], bytes] = lambda token: b":tmi.twitch.tv PONG tmi.twitch.tv :" + token
        self.rooms: dict[str, int] = {}
        """login -> room-id; others get one of their own."""
        self.join_answer: Callable[[Session, str], list[bytes]] = self.confirmed

    def room_id(self, login: str) -> int:
        return self.rooms.setdefault(login, 1000 + len(self.rooms))

    def confirmed(self, session: Session, login: str) -> list[bytes]:
        """What Twitch says to a JOIN of a channel that is there."""
        nick, channel = session.nick, login.encode()
        session.joined.add(login)
        return [
            b":%s!%s@%s.tmi.twitch.tv JOIN #%s" % (nick, nick, nick, channel),
            b":%s.tmi.twitch.tv 353 %s = #%s :%s" % (nick, nick, channel, nick),
            b":%s.tmi.twitch.tv 366 %s #%s :End of /NAMES list" % (nick, nick, channel),
            b"@emote-only=0;room-id=%d;slow=0 :tmi.twitch.tv ROOMSTATE #%s" % (self.room_id(login), channel),
        ]

    async def session(self, number: int) -> Session:
        """The client of that number, from 0, once it has connected."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(self.sessions) > number)
        return self.sessions[number]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection and the listener."""
        assert self._server is not None
        self._server.close()
        for session in self.sessions:
            session.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        session = Session(reader, writer, len(self.sessions))
        self.sessions.append(session)
        async with self._news:
            self._news.notify_all()
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while line := (await reader.readuntil(b"\n")).rstrip(b"\r\n"):
                    session.received.append(line)
                    if not session.mute:
                        self._answer(session, line)
                    await session.news()
        finally:
            session.ended = True
            self._tasks.discard(task)
            with contextlib.suppress(asyncio.CancelledError):
                await session.news()
            writer.transport.abort()

    def _answer(self, session: Session, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        if verb == b"CAP" and rest.startswith(b"REQ") and self.caps != "unknown":
            session.say(b":tmi.twitch.tv CAP * %s :%s" % (self.caps.encode(), rest.partition(b":")[2]))
        elif verb == b"CAP" and self.caps == "unknown":
            session.say(b":tmi.twitch.tv 421 * CAP :Unknown command")
        elif verb == b"NICK":
            session.nick = rest
            if self.welcome:
                session.say(b":tmi.twitch.tv 001 %s :Welcome, GLHF!" % rest, b":tmi.twitch.tv 376 %s :>" % rest)
        elif verb == b"PING":
            session.say(self.pong(rest.removeprefix(b":")))
        elif verb == b"JOIN":
            for channel in rest.split(b","):
                session.say(*self.join_answer(session, channel[1:].decode()))
        elif verb == b"PART":
            login = rest[1:].decode()
            if login in session.joined:
                session.joined.discard(login)
                session.say(b":%s!%s@%s.tmi.twitch.tv PART %s" % (session.nick, session.nick, session.nick, rest))


@contextlib.asynccontextmanager
async def scripted_twitch(authority: Authority, name: str = HOST) -> AsyncIterator[ScriptedTwitch]:
    """A server that is up. name: what its certificate says."""
    server = ScriptedTwitch(authority.server_context(name))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
