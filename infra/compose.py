"""Composition: from settings to the parts a process runs. The only place that chooses adapters. Servers and clients are
imported where one is wanted, so that a command without them starts at once."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra import keys
from infra.settings import Settings
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.core import hashing

if TYPE_CHECKING:
    import asyncio

    from prometheus_client import CollectorRegistry

    from streams.log.kafka import KafkaSettings
    from streams.log.port import Log

_log = logging.getLogger(__name__)


def schedule_of(policy_file: Path | None) -> PolicySchedule:
    """The policies in force: the file's, or the built-in one. Raises SchemaError naming the field that is off."""
    if policy_file is None:
        return PolicySchedule.of(DEFAULT_POLICY)
    try:
        data = policy_file.read_bytes()
    except OSError as error:
        raise keys.KeyFileError(f"policy file {policy_file}: {error.strerror}; check the path") from error
    return PolicySchedule.decode(data, f"policy file {policy_file}")


def make_home(settings: Settings) -> None:
    """The home, for its owner alone: what lies in it names people. One that is there stays as it is. Raises OSError."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)


def pepper_of(settings: Settings) -> bytes:
    """The pepper; made on a home's first use unless the settings name a file of their own. Raises KeyFileError, also
    where one was there before: a new one in its place would seal what nobody can join with what was sealed so far."""
    pepper, operator = settings.pepper_path, settings.operator_key_path
    if settings.pepper_file is None:
        if not os.path.lexists(pepper) and settings.operator_key_file is None and operator.exists():
            raise keys.KeyFileError(
                f"pepper file {pepper} is gone (the operator key made after it is there); restore it from a backup. If "
                "nothing was ever sealed with it, make a new one: twzrd keys init"
            )
        make_home(settings)
        if any(made.made_now for made in keys.init(pepper, operator)):
            _log.info("keys made in %s; back them up: twzrd keys backup FOLDER", pepper.parent)
    return keys.read_pepper(pepper)


def enable_fast_hashing(settings: Settings) -> bool:
    """Use the SIMD extra where it is there; the loop gives the same bytes."""
    return hashing.enable_fast(settings.home / "cache" / "code")


def worker_name() -> str:
    """A name no other living worker has."""
    import socket

    return f"{socket.gethostname()}-{os.getpid()}"


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """A DSN of the read models' database; starts the embedded server where no other is named, and lets it go."""
    if settings.database_url:
        yield settings.database_url
        return
    from infra.postgres import EmbeddedPostgres

    make_home(settings)
    server = EmbeddedPostgres(settings.postgres_dir)
    try:
        dsn = server.start()
        with server.kept():
            yield dsn
    finally:
        server.stop()


@contextlib.contextmanager
def broker(settings: Settings) -> Iterator[str]:
    """A Kafka bootstrap address: the one named, or the development broker's, which goes on running (dev kafka stop)."""
    if settings.kafka_bootstrap:
        yield settings.kafka_bootstrap
        return
    from infra.kafka import DevKafka

    yield DevKafka(settings.kafka_dir, cache_dir=settings.cache_path).start()


@contextlib.contextmanager
def metrics_served(registry: "CollectorRegistry", port: int | None) -> Iterator[None]:
    """Serves a process's numbers for Prometheus on 127.0.0.1 while the block runs; not at all without a port."""
    if port is None:
        yield
        return
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.asynccontextmanager
async def open_log(settings: Settings, patient: "asyncio.Event | None" = None) -> "AsyncIterator[Log]":
    """The log that the settings name, open; what it needs is started and let go. patient: wait for a log that is away
    until this is set; the log is then not open. Without it a log that is away is an error at once."""
    with contextlib.ExitStack() as stack:
        log: Log
        if settings.log == "postgres":
            from streams.log.postgres import PostgresLog

            log = PostgresLog(stack.enter_context(database(settings)), partitions=settings.partitions)
        else:
            from streams.log.kafka import KafkaLog

            log = KafkaLog(kafka_settings(settings, stack.enter_context(broker(settings))))
        if patient is None:
            await log.open()
        else:
            from streams.runner.backoff import pause
            from streams.runner.opening import open_when_there

            await open_when_there(log, patient.is_set, partial(pause, patient))
        try:
            yield log
        finally:
            await log.close()


def kafka_settings(settings: Settings, bootstrap: str) -> "KafkaSettings":
    """What the Kafka adapter is told."""
    from streams.log.kafka import KafkaSettings

    return KafkaSettings(bootstrap, partitions=settings.partitions, prefix=settings.topic_prefix or "twzrd.")
