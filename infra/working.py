"""`twzrd work`: the engine that the settings name, composed."""

import asyncio
import dataclasses
from functools import partial
from pathlib import Path
from typing import cast

from prometheus_client import CollectorRegistry

from infra import compose, fit_pepper
from infra.settings import Settings
from infra.stopping import stop_on_signals
from streams.log.port import LeasingLog
from streams.replay.heap import keep_heap
from streams.runner.metrics import RunnerMetrics
from streams.runner.reseal import ArchiveReader
from streams.runner.resealer import Resealer


def archive_reader(root: Path) -> ArchiveReader | None:
    """The archive as reseals read it; None where there is none."""
    if not root.is_dir():
        return None
    from streams.log.archive import read_archive  # Parquet takes 0.2 s to import: only where there is some

    return partial(read_archive, root)


async def run_loop(settings: Settings, instance: str | None, metrics_port: int | None = None) -> None:
    """The plain loop over the Postgres log, or the direct engine on Kafka, with the horizon's timer beside it."""
    compose.enable_fast_hashing(settings)
    keep_heap()
    stop = stop_on_signals()
    metrics = RunnerMetrics()
    registry = CollectorRegistry()
    metrics.register(registry)
    with compose.metrics_served(registry, metrics_port):
        await _work(settings, instance, metrics, stop)


async def _work(settings: Settings, instance: str | None, metrics: RunnerMetrics, stop: asyncio.Event) -> None:
    schedule, pepper = compose.schedule_of(settings.policy_file), compose.pepper_of(settings)
    archive = archive_reader(settings.archive_path)
    async with compose.open_log(settings, patient=stop) as log:
        if stop.is_set():
            return
        await fit_pepper.check(log, pepper, settings.pepper_path)
        timer = asyncio.create_task(Resealer(log, schedule, owned=lambda: list(metrics.shards)).run(stop))
        try:
            if settings.log == "postgres":
                from streams.runner.postgres import run_postgres

                await run_postgres(
                    cast(LeasingLog, log),
                    schedule,
                    pepper,
                    worker=instance or compose.worker_name(),
                    archive=archive,
                    stop=stop,
                    metrics=metrics,
                )
            else:
                from streams.log.kafka import KafkaLog
                from streams.runner.kafka import DirectSettings, run_direct

                assert isinstance(log, KafkaLog)
                await run_direct(
                    log,
                    schedule,
                    pepper,
                    settings=DirectSettings(group_instance_id=instance),
                    archive=archive,
                    stop=stop,
                    metrics=metrics,
                )
        finally:
            stop.set()
            await timer


def run_faust(settings: Settings, instance: str | None, web_port: int | None) -> None:
    """The Faust worker, until SIGTERM or SIGINT."""
    from streams.agents.app import run_worker
    from streams.agents.settings import WorkerSettings

    compose.enable_fast_hashing(settings)
    keep_heap()
    pepper = compose.pepper_of(settings)
    with compose.broker(settings) as bootstrap:
        if not asyncio.run(_fits(dataclasses.replace(settings, kafka_bootstrap=bootstrap), pepper)):
            return
        told = WorkerSettings(
            kafka=compose.kafka_settings(settings, bootstrap),
            data_dir=settings.home / "faust",
            group_instance_id=instance,
            web_port=web_port,
        )
        run_worker(
            told,
            compose.schedule_of(settings.policy_file),
            pepper,
            archive=archive_reader(settings.archive_path),
        )


async def _fits(settings: Settings, pepper: bytes) -> bool:
    """Before Faust starts; False where we were asked to stop before the log was there. Raises PepperUnfit."""
    stop = stop_on_signals()
    async with compose.open_log(settings, patient=stop) as log:
        if not stop.is_set():
            await fit_pepper.check(log, pepper, settings.pepper_path)
    return not stop.is_set()
