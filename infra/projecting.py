"""`twzrd project`: the projections over the settings' log, into the settings' database."""

import asyncio

from prometheus_client import CollectorRegistry

from infra import compose, databases
from infra.settings import Settings
from infra.stopping import stop_on_signals
from projections.live import LiveProjection
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.port import Projection
from projections.runner import ProjectionRunner, connector, run_all
from projections.sealed import SealedProjection
from schemas.errors import TwzrdError


def all_projections(settings: Settings, metrics: ProjectionMetrics) -> list[Projection]:
    """Ours; add your own here."""
    return [
        SealedProjection(metrics),
        NamesProjection(),
        LiveProjection(compose.schedule_of(settings.policy_file), metrics),
    ]


async def run(settings: Settings, *, once: bool) -> None:
    """Until asked to stop, or (once) until what the log holds now is applied."""
    stop = stop_on_signals()
    metrics = ProjectionMetrics(CollectorRegistry())
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        async with compose.open_log(settings) as log:
            runners = [
                ProjectionRunner(log, one, connector(dsn), metrics) for one in all_projections(settings, metrics)
            ]
            if once:
                for runner in runners:
                    await runner.catch_up()
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


async def rebuild(settings: Settings, name: str) -> None:
    """Build one projection anew beside the old one, compare, swap. Raises TwzrdError where they differ."""
    from projections.rebuild import rebuild as rebuild_projection

    metrics = ProjectionMetrics(CollectorRegistry())
    known = {one.name: one for one in all_projections(settings, metrics)}
    if name not in known:
        raise TwzrdError(f"projection {name!r} does not exist; there are {', '.join(sorted(known))}")
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        async with compose.open_log(settings) as log:
            await rebuild_projection(log, known[name], connector(dsn), metrics)
