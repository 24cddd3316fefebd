"""`twzrd discover`: the discovery over the settings' log. `run_beside` is for a process that has a log and a view."""

import asyncio

import aiohttp
from prometheus_client import CollectorRegistry

from infra import compose, counters, twitch_credentials
from infra.settings import Settings
from infra.stopping import stop_on_signals, until_one_ends
from streams.collect.live.control import ControlView
from streams.collect.live.discovery import Discovery
from streams.collect.live.helix import Helix
from streams.collect.live.selection import SelectionBounds
from streams.log.port import Log


async def run(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Until asked to stop. Raises KeyFileError without credentials, BadCredentials where Twitch refuses them."""
    stop = stop_on_signals()
    twitch_credentials.read(settings)  # before a server is started for nothing
    registry = CollectorRegistry()
    async with compose.open_log(settings) as log:
        view = ControlView(log)
        with compose.metrics_served(registry, metrics_port):
            await until_one_ends(
                [
                    asyncio.create_task(view.follow()),
                    asyncio.create_task(run_beside(settings, log, view, stop, registry)),
                ]
            )


async def run_beside(
    settings: Settings, log: Log, view: ControlView, stop: asyncio.Event, registry: CollectorRegistry
) -> None:
    """The discovery until stop is set, over a view that somebody keeps following."""
    async with aiohttp.ClientSession(trust_env=True) as session:
        helix = Helix(
            session,
            twitch_credentials.read(settings),
            id_url=settings.twitch_id_url,
            api_url=settings.twitch_api_url,
        )
        bounds = SelectionBounds(
            settings.discover_viewers, settings.discover_live_min * 60_000, settings.discover_channels
        )
        discovery = Discovery(log, helix, view, bounds)
        for prefix, one in (
            ("discovery", discovery.counters),
            ("helix", helix.counters),
            ("control", view.sets.counters),
        ):
            counters.show(registry, prefix, one)
        await discovery.run(stop)
