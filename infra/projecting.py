"""`twzrd project`: the projections over the settings' log, into the settings' database."""

import asyncio

from prometheus_client import CollectorRegistry

from infra import compose, databases, own_projections
from infra.settings import Settings
from infra.stopping import stop_on_signals
from projections.control import ControlProjection
from projections.live import LiveProjection
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.port import Projection
from projections.runner import ProjectionRunner, connector, run_all
from projections.sealed import SealedProjection
from schemas.errors import TwzrdError
from streams.replay.heap import keep_heap


def all_projections(settings: Settings, metrics: ProjectionMetrics) -> list[Projection]:
    """Ours, and the operator's own."""
    ours: list[Projection] = [
        SealedProjection(metrics),
        NamesProjection(),
        ControlProjection(),
        LiveProjection(compose.schedule_of(settings.policy_file), metrics),
    ]
    return ours + own_projections.made(settings.projections, ours)


async def run(settings: Settings, *, once: bool, metrics_port: int | None = None) -> None:
    """Until asked to stop, or (once) until what the log holds now is applied."""
    compose.enable_fast_hashing(settings)
    keep_heap()
    stop = stop_on_signals()
    registry = CollectorRegistry()
    metrics = ProjectionMetrics(registry)
    with compose.database(settings) as dsn, compose.metrics_served(registry, metrics_port):
        await databases.migrate(dsn)
        async with compose.open_log(settings) as log:
            runners = [
                ProjectionRunner(log, one, connector(dsn), metrics) for one in all_projections(settings, metrics)
            ]
            if once:
                await asyncio.gather(*(runner.catch_up() for runner in runners))
                return
            running = asyncio.create_task(run_all(runners))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait((running,))
            elif (error := running.exception()) is not None:
                raise error.exceptions[0] if isinstance(error, ExceptionGroup) else error


async def rebuild(settings: Settings, name: str, *, replace: bool = False) -> dict[str, str]:
    """Build one projection anew beside the old one, compare, swap; returns the digest of each table. Raises TwzrdError
    where they differ, unless what stands is to be replaced whatever it is."""
    from projections.rebuild import rebuild as rebuild_projection

    compose.enable_fast_hashing(settings)
    keep_heap()
    metrics = ProjectionMetrics(CollectorRegistry())
    known = {one.name: one for one in all_projections(settings, metrics)}
    if name not in known:
        raise TwzrdError(f"projection {name!r} does not exist; there are {', '.join(sorted(known))}")
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        async with compose.open_log(settings) as log:
            rebuilt = await rebuild_projection(log, known[name], connector(dsn), metrics, replace=replace)
            return dict(rebuilt.digests)


async def resume(settings: Settings, channel: str, note: str) -> int:
    """Let a channel that a contradicting seal stopped go on, with the seal that was known first; returns how many
    held records were applied."""
    from projections import rulings

    compose.enable_fast_hashing(settings)
    keep_heap()
    metrics = ProjectionMetrics(CollectorRegistry())
    with compose.database(settings) as dsn:
        identity = await databases.channel_identity(dsn, channel)
        async with databases.connected(dsn) as connection:
            return await rulings.resume(connection, SealedProjection(metrics), identity, note)
