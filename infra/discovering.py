"""`twzrd discover`: the discovery over the settings' log. `run_beside` is for a process that has a log and a view, and
`helix` for whoever else asks Twitch.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import CollectorRegistry

from infra import compose, counters, twitch_credentials
from infra.settings import Settings
from infra.stopping import stop_on_signals, until_one_ends
from streams.collect.live.app_token import Credentials
from streams.collect.live.control import ControlView
from streams.collect.live.discovery import Discovery
from streams.collect.live.helix import Helix
from streams.collect.live.selection import SelectionBounds
from streams.log.port import Log


async def run(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Until asked to stop. Raises KeyFileError without credentials, BadCredentials where Twitch refuses them."""
    stop = stop_on_signals()
    credentials = twitch_credentials.read(settings)  # before a server is started for nothing
    registry = CollectorRegistry()
    async with compose.open_log(settings) as log, helix(settings, credentials, registry) as asked:
        view = ControlView(log)
        counters.show(registry, "control", view.sets.counters)
        with compose.metrics_served(registry, metrics_port):
            await until_one_ends(
                [
                    asyncio.create_task(view.follow()),
                    asyncio.create_task(run_beside(settings, log, view, stop, registry, asked)),
                ]
            )


async def run_beside(
    settings: Settings, log: Log, view: ControlView, stop: asyncio.Event, registry: CollectorRegistry, asked: Helix
) -> None:
    """The discovery until stop is set, over a view that somebody keeps following."""
    bounds = SelectionBounds(settings.discover_viewers, settings.discover_live_min * 60_000, settings.discover_channels)
    discovery = Discovery(log, asked, view, bounds)
    counters.show(registry, "discovery", discovery.counters)
    await discovery.run(stop)


@asynccontextmanager
async def helix(settings: Settings, credentials: Credentials, registry: CollectorRegistry) -> AsyncIterator[Helix]:
    """The process's one client of Helix while the block runs, with its numbers shown."""
    async with aiohttp.ClientSession(trust_env=True) as session:
        client = Helix(session, credentials, id_url=settings.twitch_id_url, api_url=settings.twitch_api_url)
        counters.show(registry, "helix", client.counters)
        yield client
