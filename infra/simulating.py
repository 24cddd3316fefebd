"""`twzrd simulate`: simulated chat as tagged lines into a file, or as envelopes onto the log. Composition only."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from infra import compose
from infra.settings import Settings
from streams.collect.simulation import Envelopes, LineWriter, Simulation
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
