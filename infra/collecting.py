"""`twzrd collect`: control stream, connections, channels, intake and log composed and run until asked to stop.

`compose_collector` is the one place where the parts are chosen.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from infra import compose, counters, discovering, twitch_credentials
from infra.channel_lists import ChannelsFile, FixedChannels, RenamesFollowed
from infra.settings import Settings
from infra.stopping import first_fault
from streams.collect.live import metrics as collect_metrics
from streams.collect.live.connection import Endpoint
from streams.collect.live.control import ControlView
from streams.collect.live.gap_filler import Gap, GapFiller
from streams.collect.live.history import HistoryClient
from streams.collect.live.join_times import JoinTimes
from streams.collect.live.membership import ChannelState
from streams.collect.live.metrics import CollectMetrics, Levels
from streams.collect.live.pacing import JOINS, WINDOW_S, Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.port import WantedChannels
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.rename_watch import RenameWatch
from streams.collect.live.reports import StateReports
from streams.collect.live.roster import Roster
from streams.collect.live.running import Collecting, collecting
from streams.collect.live.texts import TextSender
from streams.collect.live.tls import client_context

logger: Final = logging.getLogger(__name__)

FILL_EVERY_S: Final = 1.0
"""How often holes are looked for, where a history service is set."""
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What the command line says. channels: logins; channels_file: one a line, read again when it changes; neither:
    the wanted list of the control stream. server: host:port. join_window_s: span of the JOIN pacing, at Twitch always
    as it is; on a local server tests may make it shorter."""

    server: str
    ca_file: Path | None = None
    channels: tuple[str, ...] = ()
    channels_file: Path | None = None
    discover: bool = False
    duration_s: float | None = None
    metrics_port: int | None = None
    join_window_s: float = WINDOW_S


class Activity(NamedTuple):
    """One channel's numbers since the start. covered_ms: claimed of the current hour; lost: events for which neither
    queue nor spool had room (what else is lost has counters of its own, docs/collector.md); late: events behind what
    was claimed already."""

    events: int = 0
    last_event_ms: int | None = None
    covered_ms: int = 0
    lost: int = 0
    late: int = 0


class Queue(NamedTuple):
    """What waits for the log: records in memory, bytes on disk."""

    records: int = 0
    spooled_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Collector:
    """The composed parts."""

    options: CollectOptions
    metrics: CollectMetrics
    pool: Pool
    reconciler: Reconciler
    roster: Roster
    wanted: WantedChannels
    back: Collecting
    reports: StateReports

    def states(self) -> list[ChannelState]:
        """How every channel stands."""
        return self.reconciler.states()

    def levels(self) -> Levels:
        """The gauges."""
        return self.reconciler.levels()

    def activity(self) -> Mapping[str, Activity]:
        """Numbers by login."""
        now_ms = self.back.clock_ms()
        hour_ms = now_ms - now_ms % HOUR_MS
        return {
            one.login: Activity(
                one.events,
                one.last_event_ms or None,
                one.said.within(hour_ms, now_ms),
                one.dropped_events,
                one.late_events,
            )
            for one in self.back.intake.channels.all()
        }

    def queue(self) -> Queue:
        """What waits."""
        return Queue(self.back.outbound.queued_records, self.back.outbound.spool_bytes)


def compose_collector(
    settings: Settings, options: CollectOptions, back: Collecting, view: ControlView, reports: StateReports
) -> Collector:
    """Choose the parts. Raises ChannelsFileError or TlsError where the options cannot be met."""
    metrics = back.metrics
    chance = random.Random()
    host, _, port = options.server.rpartition(":")
    endpoint = Endpoint(host, int(port), client_context(options.ca_file))
    membership = settings.chat_membership == "on"
    pool = Pool(endpoint, back.intake, metrics, membership=membership, chance=chance, clock_ms=back.clock_ms)
    roster = Roster(
        pool,
        back.intake,
        metrics,
        reports=reports,
        room_id_of=view.sets.room_ids.get,
        chance=chance,
        clock_ms=back.clock_ms,
    )
    joins = JoinTimes(settings.collect_dir / "joins.json", metrics)
    pacing = Pacing(window_s=options.join_window_s, granted=joins.load(JOINS), keep=joins.save)
    reconciler = Reconciler(roster, pacing)
    pool.attach(reconciler)
    wanted: WantedChannels = view
    if options.channels:
        wanted = RenamesFollowed(FixedChannels(frozenset(options.channels)), view)
    elif options.channels_file is not None:
        wanted = RenamesFollowed(ChannelsFile(options.channels_file), view)
    return Collector(options, metrics, pool, reconciler, roster, wanted, back, reports)


Shown = Callable[[Collector], contextlib.AbstractAsyncContextManager[None]]
"""Shows a running collector to people or programs while the block runs."""


async def run(settings: Settings, options: CollectOptions, stop: asyncio.Event, show: Shown) -> None:
    """Collect until `stop`, or for the duration asked for; then leave the channels, and send what was taken in."""
    try:
        await _run(settings, options, stop, show)
    except ExceptionGroup as faults:
        raise first_fault(faults) from faults


async def _run(settings: Settings, options: CollectOptions, stop: asyncio.Event, show: Shown) -> None:
    registry = CollectorRegistry()
    name = settings.collector_name or socket.gethostname()
    credentials = (twitch_credentials.read if options.discover else twitch_credentials.find)(settings)
    async with contextlib.AsyncExitStack() as around:
        log = await around.enter_async_context(compose.open_log(settings))
        helix = None
        if credentials is not None:
            helix = await around.enter_async_context(discovering.helix(settings, credentials, registry))
        beside = await around.enter_async_context(asyncio.TaskGroup())
        view = ControlView(log)
        reports = StateReports(log, name)
        texts = TextSender(log, view, view.caught_up) if settings.keep_text == "on" else None
        tasks = [beside.create_task(view.follow(), name="control"), beside.create_task(reports.run(), name="reports")]
        if texts is not None:
            tasks.append(beside.create_task(texts.run(), name="texts"))
        if options.discover and helix is not None:
            found = discovering.run_beside(settings, log, view, stop, registry, helix)
            tasks.append(beside.create_task(found, name="discovery"))
        await view.ready()  # until then nobody knows who opted out
        spool_bytes = settings.spool_mb * 1024 * 1024
        async with collecting(
            log, settings.collect_dir, view, caught_up=view.caught_up, spool_bytes=spool_bytes, texts=texts
        ) as back:
            collector = compose_collector(settings, options, back, view, reports)
            watch = RenameWatch(log, collector.roster, helix, name)
            tasks.append(beside.create_task(watch.run(), name="renames"))
            collect_metrics.register(collector.metrics, collector.levels, registry)
            counters.show(registry, "intake", back.intake.counters)
            counters.show(registry, "outbound", back.outbound, sizes=("queued_", "spool_bytes", "spooling"))
            counters.show(registry, "reports", reports.counters)
            counters.show(registry, "control", view.sets.counters)
            counters.show(registry, "renames", watch.counters)
            if texts is not None:
                counters.show(registry, "texts", texts.counters)
            with compose.metrics_served(registry, options.metrics_port):
                async with show(collector), _history(settings, back):
                    await _collect(collector, stop)
        if texts is not None:
            await texts.flush()  # while opt-outs are followed still
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # no sign of life may come after the last word
        await reports.close()


async def _collect(collector: Collector, stop: asyncio.Event) -> None:
    tasks = {
        asyncio.create_task(collector.reconciler.follow(collector.wanted), name="wanted"),
        asyncio.create_task(collector.reconciler.run(), name="reconciler"),
    }
    stopping = asyncio.create_task(_stopped(stop, collector.options.duration_s), name="stop")
    faults: set[asyncio.Future[None]] = {*tasks, collector.pool.failed}
    try:
        done, _ = await asyncio.wait({*faults, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        collector.reports.stop()
        collector.reconciler.want(frozenset())
        await collector.pool.close()
        await collector.back.finish()  # before the last picture is shown


async def _stopped(stop: asyncio.Event, duration_s: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration_s):
            await stop.wait()


@contextlib.asynccontextmanager
async def _history(settings: Settings, back: Collecting) -> AsyncIterator[None]:
    """Fill holes from the history service, where one is set, while the block runs."""
    if not settings.history_url:
        yield
        return
    async with HistoryClient(settings.history_url, settings.history_per_minute, metrics=back.metrics) as client:
        filler = GapFiller(client, back.intake, back.metrics)

        async def filling() -> None:
            while True:
                for hole in back.intake.holes():
                    filler.fill(Gap(hole.channel, hole.login, hole.from_ms, hole.to_ms))
                await asyncio.sleep(FILL_EVERY_S)

        task = asyncio.create_task(filling())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await filler.close()
