"""`twzrd work`: the engine that the settings name, composed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from infra import compose
from infra.settings import Settings
from infra.stopping import stop_on_signals
from streams.log.port import LeasingLog
from streams.runner.metrics import RunnerMetrics
from streams.runner.resealer import Resealer


def archive_reader(root: Path) -> "ArchivedRecords | None":
    """The archive as reseals read it; None where there is none."""
    return ArchivedRecords(root) if root.is_dir() else None


class ArchivedRecords:
    """streams.runner.reseal.ArchiveReader over archive files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, channel: str, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(offset, value) of the channel's records of that partition with start <= offset < end, in order."""
        from streams.log.archive import read_archive

        for found, offset, value in read_archive(self._root, channel):
            if found == partition and start <= offset < end:
                yield offset, value


async def run_loop(settings: Settings, instance: str | None) -> None:
    """The plain loop over the Postgres log, or the direct engine on Kafka, with the horizon's timer beside it."""
    compose.enable_fast_hashing(settings)
    schedule, pepper = compose.schedule_of(settings.policy_file), compose.pepper_of(settings)
    archive = archive_reader(settings.archive_path)
    stop = stop_on_signals()
    metrics = RunnerMetrics()
    async with compose.open_log(settings) as log:
        timer = asyncio.create_task(Resealer(log, schedule).run(stop))
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
    with compose.broker(settings) as bootstrap:
        told = WorkerSettings(
            kafka=compose.kafka_settings(settings, bootstrap),
            data_dir=settings.home / "faust",
            group_instance_id=instance,
            web_port=web_port,
        )
        run_worker(
            told,
            compose.schedule_of(settings.policy_file),
            compose.pepper_of(settings),
            archive=archive_reader(settings.archive_path),
        )
