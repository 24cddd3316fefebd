"""`twzrd collect`: live chat onto the log, with a live table on a terminal."""

import asyncio
import contextlib
import io
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra import collecting, logs
from infra.cli.collect_table import Rates, Seen, picture
from infra.cli.output import json_option, print_json
from infra.collecting import CollectOptions, Collector
from infra.looping import run
from infra.settings import Settings
from infra.stopping import stop_on_signals

logger: Final = logging.getLogger(__name__)

LOOK_S: Final = 0.5
SAY_S: Final = 10.0
"""Distance of status lines where there is no terminal."""
MESSAGES: Final = 50


@click.command()
@click.option("--channels", metavar="A,B,C", help="Logins of the channels to collect.")
@click.option("--channels-file", type=click.Path(path_type=Path), help="One login a line; read again when it changes.")
@click.option("--discover", is_flag=True, help="Live channels that Twitch's own list names, by viewers.")
@click.option("--server", metavar="HOST:PORT", help="Chat server, with TLS (TWZRD_CHAT_SERVER).")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM of the only authority to trust (TWZRD_CHAT_CA_FILE).")
@click.option("--duration", type=click.FloatRange(min=0), metavar="SECONDS", help="End by itself after so long.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Numbers for Prometheus.")
@json_option
@click.pass_obj
def collect(
    settings: Settings,
    channels: str | None,
    channels_file: Path | None,
    discover: bool,
    server: str | None,
    ca: Path | None,
    duration: float | None,
    metrics_port: int | None,
    as_json: bool,
) -> None:
    """Live chat of Twitch onto the log, anonymously, until Ctrl-C. Certificates are always checked."""
    if sum((channels is not None, channels_file is not None, discover)) > 1:
        raise click.UsageError("--channels, --channels-file and --discover exclude each other; give one of them")
    options = CollectOptions(
        server=_server(server or settings.chat_server),
        ca_file=ca or settings.chat_ca_file,
        channels=_logins(channels or ""),
        channels_file=channels_file,
        discover=discover,
        duration_s=duration,
        metrics_port=metrics_port,
    )
    show: collecting.Shown
    if as_json:
        show = json_lines
    elif sys.stdout.isatty():
        show = LiveTable(settings).shown
    else:
        show = log_lines

    async def main() -> None:
        await collecting.run(settings, options, stop_on_signals(), show)

    run(main())


def _server(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) < 65_536):
        raise click.UsageError(f"--server {text!r} is not HOST:PORT, as irc.chat.twitch.tv:6697")
    return text


def _logins(text: str) -> tuple[str, ...]:
    logins = tuple(word for part in text.split(",") if (word := part.strip().lstrip("#").lower()))
    for login in logins:
        if not (login.isascii() and login.replace("_", "").isalnum() and len(login) <= 64):
            raise click.UsageError(f"--channels: {login[:80]!r} is no login; letters, digits and underscores only")
    return logins


@contextlib.asynccontextmanager
async def _meanwhile(every_s: float, say: Callable[[], None]) -> AsyncIterator[None]:
    """Say it again and again while the block runs, and once at its end."""

    async def saying() -> None:
        while True:
            await asyncio.sleep(every_s)
            say()

    task = asyncio.create_task(saying())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        say()


def status(collector: Collector) -> dict[str, object]:
    """Numbers of the moment and since the start, for programs."""
    levels, queue = collector.levels(), collector.queue()
    activity = collector.activity().values()
    return {
        "wanted": levels.wanted,
        "joined": levels.joined,
        "joining": levels.joining,
        "waiting": levels.waiting,
        "parked": levels.parked,
        "connections": levels.connections,
        "events": sum(one.events for one in activity),
        "lost": sum(one.lost for one in activity),
        "late": sum(one.late for one in activity),
        "queue": queue.records,
        "spooled_bytes": queue.spooled_bytes,
        "troubles": collector.pool.troubles(),
    }


def log_lines(collector: Collector) -> contextlib.AbstractAsyncContextManager[None]:
    """One log line every SAY_S."""
    return _meanwhile(SAY_S, lambda: logger.info("collecting", extra={"fields": status(collector)}))


def json_lines(collector: Collector) -> contextlib.AbstractAsyncContextManager[None]:
    """One JSON object a line on standard output, every SAY_S, with every channel."""

    def say() -> None:
        activity = collector.activity()
        rows = []
        for state in collector.states():
            numbers = activity.get(state.login, collecting.Activity())
            rows.append(
                {
                    "channel": state.login,
                    "room_id": state.room_id,
                    "state": state.state,
                    "reason": state.reason,
                    "since_ms": state.since_ms,
                    "retry_at_ms": state.retry_at_ms,
                    **numbers._asdict(),
                }
            )
        print_json({"at_ms": time.time_ns() // 1_000_000, **status(collector), "channels": rows})

    return _meanwhile(SAY_S, say)


class LiveTable:
    """The table on the whole terminal; log lines stand below it instead of running through it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._messages = _LastLines()

    @contextlib.asynccontextmanager
    async def shown(self, collector: Collector) -> AsyncIterator[None]:
        """Redrawn every LOOK_S; the terminal is as before afterwards, with a line on what was done."""
        console = Console(highlight=False, emoji=False)
        rates, began_s = Rates(), time.monotonic()
        logs.configure(self._settings.log_level, "text", self._messages)
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:

                def draw() -> None:
                    now_s = time.monotonic()
                    activity = collector.activity()
                    seen = Seen(
                        collector.options.server,
                        now_s - began_s,
                        time.time_ns() // 1_000_000,
                        collector.states(),
                        activity,
                        collector.levels(),
                        collector.queue(),
                        collector.pool.troubles(),
                        list(self._messages.lines),
                    )
                    size = console.size
                    live.update(picture(seen, rates.look(now_s, activity), size.width, size.height), refresh=True)

                draw()
                async with _meanwhile(LOOK_S, draw):
                    yield
        finally:
            logs.configure(self._settings.log_level, self._settings.log_format)
        done = status(collector)
        console.print(f"collected {done['events']:,} events, lost {done['lost']:,}, {done['queue']:,} still queued")


class _LastLines(io.StringIO):
    """A stream that keeps the last lines written to it, without their colours."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=MESSAGES)

    def write(self, text: str) -> int:
        for line in Text.from_ansi(text).plain.splitlines():
            at, _, rest = line.partition(" ")
            level, _, rest = rest.partition(" ")
            _, _, message = rest.partition(" ")  # without the logger's name
            self.lines.append(f"{at[:8]} {level} {message}" if message else line)
        return len(text)


COMMANDS = (collect,)
