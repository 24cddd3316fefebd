"""`twzrd simulate` and `twzrd twitch-sim`: simulated chat as lines, as envelopes on the log, or from a local Twitch.

Composition only.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from infra import compose
from infra.settings import Settings
from infra.stopping import stop_on_signals
from streams.collect.simulation import Envelopes, LineWriter, Simulation
from streams.collect.twitch_sim import (
    Pace,
    PreparedFeed,
    RecordedFeed,
    SimOptions,
    SimulatedFeed,
    TwitchSim,
    parse_faults,
)
from streams.collect.twitch_sim.feed import Feed
from streams.collect.twitch_sim.recent import PATH as RECENT_PATH
from streams.log.port import CHAT_EVENTS, Append

BATCH: Final = 250
PIECE_LINES: Final = 256
"""Lines written at once when paced; a piece is written when its last line is due."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is simulated: [start_ms, end_ms), at most max_lines of it (lines only); speed: simulated seconds a second, 0
    as fast as it goes."""

    start_ms: int
    end_ms: int
    max_lines: int | None
    speed: float


@dataclass(slots=True)
class Counted:
    """What a run came to."""

    events: int = 0
    envelopes: int = 0


def write_lines(simulation: Simulation, span: Span, out: BinaryIO, sleep: Callable[[float], None] = time.sleep) -> int:
    """Lines of span to out; how many. A line is written no earlier than it is due, and at most a piece later."""
    writer, began, written = LineWriter(simulation), time.monotonic(), 0
    for step in simulation.run(span.start_ms, span.end_ms):
        lines = writer.lines(step)
        if span.max_lines is not None:
            lines = lines[: span.max_lines - written]
        if not span.speed:
            out.write(b"".join(lines))
        for start in range(0, len(lines), PIECE_LINES) if span.speed else ():
            piece = lines[start : start + PIECE_LINES]
            due_s = (int(step.arrival[start + len(piece) - 1]) - span.start_ms) / 1000 / span.speed
            if (wait_s := began + due_s - time.monotonic()) > 0:
                out.flush()
                sleep(wait_s)
            out.write(b"".join(piece))
        written += len(lines)
        if written == span.max_lines:
            break
    out.flush()
    return written


async def into_log(settings: Settings, simulation: Simulation, span: Span) -> Counted:
    """Envelopes of span onto the log, durable when this returns."""
    counted = Counted()
    began = time.monotonic()
    async with compose.open_log(settings) as log:
        batch: list[Append] = []

        async def flush() -> None:
            if batch:
                await log.append(CHAT_EVENTS, batch)
                batch.clear()

        for one in Envelopes(simulation, span.start_ms).run(span.start_ms, span.end_ms):
            if span.speed:
                wait_s = began + (one.until_ms - span.start_ms) / 1000 / span.speed - time.monotonic()
                if wait_s > 0:
                    await flush()
                    await asyncio.sleep(wait_s)
            batch.append(Append(None, one.key, one.value))
            counted.events += one.events
            counted.envelopes += 1
            if len(batch) >= BATCH:
                await flush()
        await flush()
    return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What `twitch-sim` was told; see its --help."""

    replay: Path | None
    channels: int
    rate: float
    seed: int
    host: str
    port: int
    ca_out: Path | None
    speed: float
    keep_times: bool
    seconds: int | None
    prepare: int | None
    wait_joins: int | None
    faults: str
    join_limit: int
    notices: bool
    history_port: int | None
    ledger: Path | None
    once: bool

    def feed(self) -> Feed:
        """The chat it says."""
        if self.replay is not None:
            feed: Feed = RecordedFeed(self.replay)
        else:
            now_ms = time.time_ns() // 1_000_000
            end_ms = None if self.seconds is None else now_ms + self.seconds * 1000
            feed = SimulatedFeed(Simulation(self.seed, self.channels, self.rate), now_ms, end_ms)
        return feed if self.prepare is None else PreparedFeed(feed, self.prepare)

    def options(self) -> SimOptions:
        """How it serves."""
        return SimOptions(
            host=self.host,
            port=self.port,
            pace=Pace(self.speed, not self.keep_times),
            faults=parse_faults(self.faults),
            seed=self.seed,
            wait_joins=(0 if self.speed else 1) if self.wait_joins is None else self.wait_joins,
            join_limit=self.join_limit,
            rate_notice=self.notices,
            unknown_notice=self.notices,
            ledger_folder=self.ledger,
            history_port=self.history_port,
        )


async def serve(settings: Settings, served: Served, tell: Callable[[dict[str, Any]], None]) -> None:
    """Serve until a signal, or with `once` until the chat has ended. tell: first where it is, last what it came to."""
    stop = stop_on_signals()
    twitch = TwitchSim(served.feed(), served.options())
    ca_file = served.ca_out or settings.home / "twitch-sim" / "ca.pem"
    ca_file.parent.mkdir(parents=True, exist_ok=True)
    ca_file.write_bytes(twitch.ca_pem)
    async with twitch:
        host, port = twitch.address
        facts: dict[str, Any] = {"address": f"{host}:{port}", "ca": str(ca_file), "channels": len(twitch.rooms)}
        if twitch.recent is not None:
            facts["history"] = f"http://{host}:{twitch.recent.port}{RECENT_PATH}"
        tell(facts)
        stopped, said = asyncio.create_task(stop.wait()), asyncio.create_task(twitch.finished())
        await asyncio.wait((stopped, said), return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            said.result()  # a file that broke is told
            if not served.once:
                await stopped
        stopped.cancel()
        said.cancel()
    tell({"lines": twitch.lines_said, "rows": twitch.ledger.rows_total, **dict(sorted(twitch.counts.items()))})
