"""A collector's way of a line on one connection: TLS socket -> framing -> parsing -> batching, claims -> log, durable.

Reader stands for the pool's Connection: no handshake, PINGs or reconnects. Framing, intake, outbound and log are the
real ones, on uvloop as the collector's; spool, history, opt-outs and reports are not there. The sender knows no end of
speed: while more than ROOM_BYTES wait for the log nothing is read, so that nothing is dropped as by an overloaded one.

collect PORT AUTHORITY CHANNELS LINES (postgres DSN | stub | raw): reads until RECONNECT, then waits until all
is on the log, prints rate=<lines/s> over all of that. stub: a log that forgets at once. raw: reads and counts, for what
the sender and the socket alone can do.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import uvloop

from streams.collect.live.clock import steady_clock_ms
from streams.collect.live.framing import LineBuffer
from streams.collect.live.intake import FLUSH_MS, LiveIntake
from streams.collect.live.outbound import LogOutbound
from streams.log.port import Append, Log
from streams.log.postgres import PostgresLog

DEADLINE_S: Final = 120.0
FIRST_ROOM: Final = 40_000_000
ROOM_BYTES: Final = 16 << 20
"""Half of what the queue takes."""
LOOK_S: Final = 0.005


class StubLog:
    """Takes everything and keeps nothing."""

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        """At once."""
        await asyncio.sleep(0)
        return [(0, 0)] * len(records)


class Reader(asyncio.Protocol):
    """One connection that only reads and frames; ends at RECONNECT."""

    def __init__(self, intake: LiveIntake | None, outbound: LogOutbound) -> None:
        self.intake, self._outbound = intake, outbound
        self._transport: Any = None
        self._rests = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first_s = 0.0
        self.lines = 0
        self._clock_ms = steady_clock_ms()
        self._buffer = LineBuffer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = transport

    def _rest(self) -> None:
        full = self._outbound.counters.queued_bytes > ROOM_BYTES
        if full != self._rests:
            self._rests = full
            (self._transport.pause_reading if full else self._transport.resume_reading)()
        if full:
            asyncio.get_running_loop().call_later(LOOK_S, self._rest)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        if not self.first_s:
            self.first_s = time.perf_counter()
        lines = self._buffer.feed(data)
        if self.intake is None:
            self.lines += lines.count(b"\n")
            if b" RECONNECT\r\n" in lines[-40:]:
                self.act(b"RECONNECT", 0)
        else:
            self.intake.received(1, lines, self._clock_ms(), self.act)
            if not self._rests and not self.done.done():
                self._rest()

    def act(self, line: bytes, at_ms: int) -> None:
        """A line that is no chat."""
        if b"RECONNECT" in line and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Before it was done: a failure."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def flushing(intake: LiveIntake) -> None:
    """The collector's timer."""
    clock_ms = steady_clock_ms()
    while True:
        await asyncio.sleep(FLUSH_MS / 1000)
        intake.flush(clock_ms())


async def main() -> None:
    """See above."""
    port, authority, channels, lines, kind, *dsn = sys.argv[1:]
    log = PostgresLog(dsn[0]) if kind == "postgres" else StubLog()
    if isinstance(log, PostgresLog):
        await log.open()
    as_log: Log = log  # type: ignore[assignment]  # the stub only appends
    outbound = LogOutbound(as_log)
    intake = LiveIntake("bench", outbound)
    clock_ms = steady_clock_ms()
    for number in range(int(channels)):
        intake.observing(f"channel_{number:02d}", str(FIRST_ROOM + number), 1, clock_ms())
    sending = asyncio.create_task(outbound.run())
    timer = asyncio.create_task(flushing(intake))
    context = ssl.create_default_context(cafile=authority)
    transport, reader = await asyncio.get_running_loop().create_connection(
        lambda: Reader(None if kind == "raw" else intake, outbound),
        "127.0.0.1",
        int(port),
        ssl=context,
        server_hostname="localhost",
    )
    async with asyncio.timeout(DEADLINE_S):
        await reader.done
        intake.flush(clock_ms())
        await outbound.flushed()
    took_s = time.perf_counter() - reader.first_s
    transport.close()
    timer.cancel()
    await outbound.close()
    await sending
    if isinstance(log, PostgresLog):
        await log.close()
    read = intake.counters.lines + reader.lines - 1
    events, envelopes = intake.counters.events, intake.counters.envelopes
    whole = kind == "raw" or (outbound.counters.appended_records == envelopes and events == int(lines))
    if read != int(lines) or not whole:
        raise SystemExit(f"read {read} of {lines} lines, {outbound.counters}, {intake.counters}")
    print(f"rate={read / took_s:.0f} events={events} envelopes={envelopes} live_ms={intake.counters.live_ms}")


if __name__ == "__main__":
    uvloop.run(main())
