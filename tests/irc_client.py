"""A tiny raw TLS client of IRC: what tests of servers talk with. Knows nothing of our own collector."""

import asyncio
import ssl
from collections.abc import Callable

PATIENCE_S = 20.0
ALL_CAPS = "twitch.tv/tags twitch.tv/commands"


class IrcClient:
    """One connection. lines: everything received so far, without line ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines: list[bytes] = []
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: tuple[str, int], ca_pem: bytes) -> "IrcClient":
        context = ssl.create_default_context(cadata=ca_pem.decode())
        host, port = address
        return cls(*await asyncio.open_connection(host, port, ssl=context, limit=64 * 1024 * 1024))

    async def login(self, nick: str = "justinfan1", caps: str = ALL_CAPS, password: str = "") -> None:
        if caps:
            self.send(f"CAP REQ :{caps}")
        if password:
            self.send(f"PASS {password}")
        self.send(f"NICK {nick}")
        await self.until(b" 376 ")

    def send(self, *lines: str) -> None:
        self.send_bytes("".join(f"{line}\r\n" for line in lines).encode())

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def join(self, *logins: str) -> None:
        """Until every one is confirmed."""
        self.send("JOIN " + ",".join(f"#{login}" for login in logins))
        for login in logins:
            await self.until(f" 366 .* #{login} ")

    async def until(self, wanted: bytes | str | Callable[[bytes], bool]) -> bytes:
        """The next line with those bytes in it (a str: parts in order, divided by `.*`)."""
        while True:
            line = await self.line()
            if line is None:
                raise AssertionError(f"the connection ended before {wanted!r}; last lines: {self.lines[-5:]}")
            if callable(wanted) and wanted(line):
                return line
            if isinstance(wanted, bytes) and wanted in line:
                return line
            if isinstance(wanted, str) and _in_order(line, wanted.split(".*")):
                return line

    async def line(self) -> bytes | None:
        """The next line; None at the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                raw = await self._reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                return None
        self.lines.append(raw.rstrip(b"\r\n"))
        return self.lines[-1]

    async def answers_ping(self) -> list[bytes]:
        """Everything up to the answer to a PING of ours: whatever the server had to say before."""
        start = len(self.lines)
        self.send("PING :now")
        await self.until(b"PONG tmi.twitch.tv :now")
        return self.lines[start:-1]

    async def rest(self) -> list[bytes]:
        """Everything up to the end of the connection."""
        start = len(self.lines)
        while await self.line() is not None:
            pass
        return self.lines[start:]

    def close(self) -> None:
        self._writer.transport.abort()


def _in_order(line: bytes, parts: list[str]) -> bool:
    place = 0
    for part in parts:
        found = line.find(part.encode(), place)
        if found < 0:
            return False
        place = found + len(part)
    return True
