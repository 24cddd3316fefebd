"""`twzrd raw`: events one by one into a table and day files, for operators who want them; with retention."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from prometheus_client import CollectorRegistry

from infra import compose, counters, databases
from infra.settings import Settings
from infra.stopping import stop_on_signals, until_one_ends
from projections.day_files import DayFiles
from projections.metrics import ProjectionMetrics
from projections.raw_events import RawEvents, RawMessages, expire
from projections.runner import ProjectionRunner, connector, run_all
from schemas.errors import TwzrdError
from streams.collect.live.control import ControlView
from streams.collect.live.suppression import Suppression

logger: Final = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 3_600.0


async def run(settings: Settings, *, once: bool, metrics_port: int | None = None) -> None:
    """Until asked to stop, or (once) until what the log holds now is written. Messages only with TWZRD_KEEP_TEXT=on."""
    stop = stop_on_signals()
    registry = CollectorRegistry()
    metrics = ProjectionMetrics(registry)
    with compose.database(settings) as dsn, compose.metrics_served(registry, metrics_port):
        await databases.migrate(dsn)
        async with compose.open_log(settings) as log:
            view = ControlView(log)
            following = asyncio.create_task(view.follow())
            async with _folders(settings) as (events, messages):
                await view.ready()
                hides = Suppression(view).hides
                projections = [RawEvents(events, hides), RawMessages(messages, hides)]
                if settings.keep_text == "off":
                    del projections[1]
                for one in projections:
                    counters.show(registry, one.name, one.counters)
                    counters.show(registry, f"{one.name}_files", one.files.counters)
                runners = [ProjectionRunner(log, one, connector(dsn), metrics) for one in projections]
                working = [following]
                if not once:
                    working += [
                        asyncio.create_task(run_all(runners)),
                        asyncio.create_task(_tidy_now_and_then(settings, dsn, [events, messages])),
                        asyncio.create_task(_wait(stop)),
                    ]
                else:
                    working.append(asyncio.create_task(_catch_up(settings, dsn, runners, [events, messages])))
                await until_one_ends(working)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _catch_up(settings: Settings, dsn: str, runners: list[ProjectionRunner], files: list[DayFiles]) -> None:
    for runner in runners:
        await runner.catch_up()
    await tidy(settings, dsn, files)


@contextlib.asynccontextmanager
async def _folders(settings: Settings) -> AsyncIterator[tuple[DayFiles, DayFiles]]:
    events = DayFiles(settings.raw_path / "events", "events")
    messages = DayFiles(settings.raw_path / "messages", "messages")
    try:
        events.open()
        messages.open()
        yield events, messages
    finally:
        events.close()
        messages.close()


async def _tidy_now_and_then(settings: Settings, dsn: str, files: list[DayFiles]) -> None:
    while True:
        try:
            await tidy(settings, dsn, files)
        except (TwzrdError, OSError) as error:
            logger.warning("raw events could not be tidied, again in an hour: %s", error)
        await asyncio.sleep(TIDY_EVERY_S)


async def tidy(settings: Settings, dsn: str, files: list[DayFiles]) -> None:
    """Keep the retention: rows and files of more than raw_days ago go, past days are compressed."""
    now_ms = time.time_ns() // 1_000_000
    async with databases.connected(dsn) as connection:
        await expire(connection, now_ms, settings.raw_days)
        for one in files:
            await one.tidy(connection, now_ms, settings.raw_days)
