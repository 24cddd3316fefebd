"""One connection to a chat server: TLS, handshake, PINGs, and bytes to the Intake.

In: bytes of the socket, as an asyncio.Protocol: nothing is buffered here but an unfinished line, and each read is taken
in before the next, so a slow machine reads slower and TCP holds the server back. Out: whole lines to the Intake; those
that it finds to be no chat are acted on here or told to the Listener, in their place among the others.
"""

import asyncio
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from streams.collect.irc import Malformed, Message, parse_line
from streams.collect.live.framing import LineBuffer
from streams.collect.live.handshake import Handshake
from streams.collect.live.keepalive import Deadlines, Keepalive, Verdict
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.port import Intake

logger: Final = logging.getLogger(__name__)

CHANNELS: Final = 90
"""Most channels of one connection; Twitch takes 100."""
WRITE_LIMIT: Final = 64 * 1024
"""Bytes that may wait to be written; a server that lets more pile up does not read us any more."""
RECHECK_S: Final = 0.25
"""A silent connection is looked at once more after this: it may be our own process that stood still."""
CLOSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to. The certificate must name `host`."""

    host: str
    port: int
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that each step may take."""

    connect_s: float = 10.0
    """Name look-up, TCP and TLS together."""
    welcome_s: float = 10.0
    deadlines: Deadlines = field(default_factory=Deadlines)


class ConnectFailed(Exception):
    """A connection did not come about. reason: one of a fixed set, for counters; str() says more."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Listener(Protocol):
    """Who is told what a connection meets. Calls do not wait."""

    def said(self, connection: "Connection", message: Message, at_ms: int) -> None:
        """A message that is neither chat nor the connection's own business."""

    def leave_soon(self, connection: "Connection", why: str) -> None:
        """Its channels should move elsewhere while it still works."""


class Connection(asyncio.Protocol):
    """See the module. `number` is never used twice in a process. `channels` belong to the Listener's side: logins whose
    JOIN was sent here and whose PART was not."""

    def __init__(
        self,
        number: int,
        intake: Intake,
        listener: Listener,
        metrics: CollectMetrics,
        chance: random.Random,
        timing: Timing,
        *,
        room: int = CHANNELS,
        membership: bool = False,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.channels: set[str] = set()
        self.parting: set[str] = set()
        self.room = room
        self.draining = False
        self.alive = False
        """Welcomed and not ended."""
        self.empty_since_s = loop.time()
        self.welcomed: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        """The reason, once it has ended."""
        self._loop = loop
        self._intake = intake
        self._clock_ms = clock_ms
        self._listener = listener
        self._metrics = metrics
        self._timing = timing
        self._buffer = LineBuffer()
        self._handshake = Handshake(chance, membership=membership)
        self._keepalive = Keepalive(loop.time(), timing.deadlines)
        self._timer: asyncio.TimerHandle | None = None
        self._suspected = False
        self._reason = ""
        self._transport: asyncio.Transport | None = None

    @property
    def nick(self) -> bytes:
        """Our nick there."""
        return self._handshake.nick

    # ---- what the Listener's side does -----------------------------------------------------------------------------

    def join(self, logins: Iterable[str]) -> None:
        """Send JOINs. Logins are plain ASCII words: the caller has checked them."""
        self._command(b"JOIN", logins)

    def part(self, logins: Iterable[str]) -> None:
        """Send PARTs."""
        self._command(b"PART", logins)

    def close(self, reason: str) -> None:
        """Say goodbye and close; what is still to be written goes out first."""
        if self._transport is not None and not self._transport.is_closing():
            self._reason = self._reason or reason
            self._write(b"QUIT\r\n")
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End at once; nothing more is written."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._write(self._handshake.opening())
        self._keepalive = Keepalive(self._loop.time(), self._timing.deadlines)

    def data_received(self, data: bytes) -> None:
        at_ms = self._clock_ms()
        self._metrics.reads_total += 1
        self._metrics.bytes_total += len(data)
        self._keepalive.heard(self._loop.time())
        self._suspected = False
        cut, skipped = self._buffer.cut_lines, self._buffer.skipped_bytes
        lines = self._buffer.feed(data)
        self._metrics.lines_over_limit_total += self._buffer.cut_lines - cut
        self._metrics.bytes_skipped_total += self._buffer.skipped_bytes - skipped
        if lines:
            self._intake.received(self.number, lines, at_ms, self._act)

    def eof_received(self) -> bool:
        self._reason = self._reason or "closed by the server"
        return False  # a half-closed chat connection is of no use: close our half, too

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        reason = self._reason or (_reason_of(error)[0] if error else "closed by the server")
        if not self.ended.done():
            self.ended.set_result(reason)
        if not self.welcomed.done():
            self.welcomed.set_exception(ConnectFailed(reason, self._handshake.refused or str(error or reason)))
            self.welcomed.exception()  # where nobody waits any more, that is no fault

    # ---- what the server says --------------------------------------------------------------------------------------

    def _act(self, line: bytes, at_ms: int) -> None:
        self._metrics.control_lines_total += 1
        try:
            message = parse_line(line)
        except Malformed:
            self._metrics.control_lines_malformed_total += 1
            return
        verb = message.verb
        if verb == b"PING":
            self._write(b"PONG :" + (message.params[-1] if message.params else b"") + b"\r\n")
        elif verb == b"PONG":
            answered = bool(message.params) and self._keepalive.pong(message.params[-1])
            self._metrics.pongs_total += answered
            self._metrics.pongs_wrong_total += not answered
        elif not self.welcomed.done():
            self._register(message)
        elif verb == b"RECONNECT":
            self._metrics.reconnects_asked_total += 1
            self._listener.leave_soon(self, "RECONNECT")
        else:
            self._listener.said(self, message, at_ms)

    def _register(self, message: Message) -> None:
        answer = self._handshake.take(message)
        if answer:
            self._write(answer)
        if self._handshake.refused:
            self.abort("login refused")
        elif self._handshake.welcomed:
            denied = len(self._handshake.denied)
            if denied:
                self._metrics.capabilities_denied_total += denied
                logger.warning(
                    "the server refuses %s: without tags events have no ids and times",
                    b", ".join(sorted(self._handshake.denied)).decode(),
                )
            self.alive = True
            self.welcomed.set_result(None)
            self._watch()

    # ---- PINGs -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        now_s = self._loop.time()
        verdict = self._keepalive.verdict(now_s)
        wait_s = self._keepalive.next_s(now_s)
        if verdict is Verdict.PING:
            self._metrics.pings_sent_total += 1
            self._write(b"PING :" + self._keepalive.ping(now_s) + b"\r\n")
            wait_s = self._keepalive.next_s(now_s)
        elif verdict is Verdict.UNANSWERED:
            self._metrics.pings_unanswered_total += 1
            self._listener.leave_soon(self, "PINGs unanswered")
        elif verdict is Verdict.SILENT:
            if self._suspected:
                self.abort("silent")
                return
            self._suspected, wait_s = True, RECHECK_S
        self._timer = self._loop.call_later(wait_s, self._watch)

    # ---- writing ---------------------------------------------------------------------------------------------------

    def _command(self, verb: bytes, logins: Iterable[str]) -> None:
        self._write(b"".join(b"%s #%s\r\n" % (verb, login.encode()) for login in logins))

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > WRITE_LIMIT:
            self.abort("does not read us")


async def connect(connection: Connection, endpoint: Endpoint, timing: Timing) -> None:
    """Open it and wait for the welcome. Raises ConnectFailed; then nothing of it is left open."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timing.connect_s):
            await loop.create_connection(
                lambda: connection,
                endpoint.host,
                endpoint.port,
                ssl=endpoint.tls,
                server_hostname=endpoint.host,
                ssl_handshake_timeout=timing.connect_s,
                ssl_shutdown_timeout=CLOSE_S,
            )
    except (TimeoutError, OSError) as error:  # ssl's errors are OSErrors
        reason, text = _reason_of(error)
        if not connection.ended.done():
            connection.ended.set_result(reason)
        raise ConnectFailed(reason, f"{endpoint.host}:{endpoint.port}: {text}") from error
    try:
        async with asyncio.timeout(timing.welcome_s):
            await asyncio.shield(connection.welcomed)
    except TimeoutError as error:
        connection.abort("no welcome")
        raise ConnectFailed("no welcome", f"{endpoint.host}:{endpoint.port} did not welcome us in time") from error
    except asyncio.CancelledError:
        connection.abort("stopped")
        raise


def _reason_of(error: Exception) -> tuple[str, str]:
    """(reason, text) of what went wrong below us."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate refused", f"its certificate is not to be trusted: {error.verify_message}; see --ca"
    if isinstance(error, ssl.SSLError):
        return "TLS failed", f"TLS: {error.reason or type(error).__name__}"
    if isinstance(error, socket.gaierror):
        return "name not found", f"its name cannot be looked up: {error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "nobody listens there"
    if isinstance(error, TimeoutError):
        return "timed out", "no connection in time"
    if isinstance(error, ConnectionError):
        return "reset", "the connection was cut"
    return "unreachable", str(error) or type(error).__name__
