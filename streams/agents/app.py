"""Composes one Faust worker: app, topics, agent, table, pages, timers. `create_app` makes it, `run_worker` runs it.

Nothing is global and nothing connects before the worker starts. Comes in: chat.events. Goes out: epoch.sealed, dead,
through the log port; Faust's own producer writes nothing but the live views' changelog.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

import faust
from aiokafka.errors import KafkaError
from faust.types import TP
from yarl import URL

from schemas.policy import PolicySchedule
from streams.agents.consumer import BATCH_RECORDS, Batches, LowWaterTransport
from streams.agents.known_errors import KnownErrors
from streams.agents.pages import add_pages
from streams.agents.recovery import Tables
from streams.agents.seal_agent import add_seal_agent
from streams.agents.settings import NO_FAULTS, Faults, WorkerSettings
from streams.agents.shards import Shards
from streams.agents.stopping import BoundedWorker
from streams.agents.views import CHANGELOG, TABLE, LiveTable, LiveViews
from streams.core.resume import Resume
from streams.core.shard import Shard
from streams.log.kafka import KafkaLog
from streams.log.port import CHAT_EVENTS, LogError
from streams.runner.opening import open_when_there
from streams.runner.reseal import ArchiveReader, answering
from streams.runner.resealer import Resealer

TICK_S: Final = 1.0

_log = logging.getLogger(__name__)


class WorkerApp(faust.App):
    """A faust.App that opens the log (waiting for one that is away) before its consumer starts, and closes it after all
    has stopped."""

    shards: Shards
    views: LiveViews
    log_port: KafkaLog

    async def on_start(self) -> None:
        if await open_when_there(self.log_port, lambda: bool(self.should_stop), self.sleep):
            await super().on_start()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        await self.log_port.close()


class ConsumerReader:
    """streams.agents.shards.Reader over the app's Kafka consumer."""

    def __init__(self, app: WorkerApp, topic: str) -> None:
        self._app = app
        self._topic = topic

    def ends(self) -> Mapping[int, int]:
        consumer: Any = self._app.consumer
        ours = [tp for tp in consumer.assignment() if tp.topic == self._topic]
        return {tp.partition: consumer.highwater(tp) or 0 for tp in ours}

    def flowing(self) -> bool:
        app, consumer = self._app, cast(Any, self._app.consumer)
        return not (app.rebalancing or app.in_recovery) and consumer.flow_active and bool(consumer.assignment())

    async def seek(self, partition: int, offset: int) -> None:
        await self._app.consumer.seek_wait({TP(self._topic, partition): offset})

    async def assign_again(self) -> None:
        await self._app.consumer.perform_seek()


def create_app(
    settings: WorkerSettings,
    schedule: PolicySchedule,
    pepper: bytes,
    *,
    archive: ArchiveReader | None = None,
    faults: Faults = NO_FAULTS,
) -> WorkerApp:
    """A worker, not yet started. pepper: 32 bytes. archive: where reseals find records that the log no longer has.
    faults: for tests of the tests only."""
    kafka = settings.kafka
    app = WorkerApp(**_faust_settings(settings))
    app.log_port = KafkaLog(kafka)
    topic = app.topic(
        kafka.topic(CHAT_EVENTS), schema=Batches(key_type=bytes, key_serializer="raw"), partitions=kafka.partitions
    )

    def make_shard(partition: int, start: int, resume: Resume) -> Shard:
        return Shard(schedule, pepper, start, resume, partition=partition)

    app.shards = Shards(
        app.log_port,
        make_shard,
        schedule.epoch_length_s,
        answering(app.log_port, archive),
        app.add_future,
        topic=kafka.topic(CHAT_EVENTS),
        guard=faults.guard,
    )
    app.transport = LowWaterTransport(app.conf.broker_consumer, app, app.shards, low_water=faults.low_water)
    table = app.Table(
        TABLE,
        key_type=bytes,
        value_type=bytes,
        partitions=kafka.partitions,
        extra_topic_configs=CHANGELOG,
        help="open epochs as they stand, for people",
    )
    app.views = LiveViews(table, app.shards)
    reader = ConsumerReader(app, kafka.topic(CHAT_EVENTS))
    add_seal_agent(app, topic, app.shards, acknowledge=not faults.low_water)
    add_pages(app, app.shards, app.views)
    _add_timers(app, reader, heal=faults.guard)
    if settings.ask_reseals:
        resealer = Resealer(app.log_port, schedule, owned=lambda: list(app.shards.held()))

        @app.task  # type: ignore[untyped-decorator]
        async def ask_reseals() -> None:
            await resealer.run(asyncio.Event())  # until the worker cancels its tasks

    app.finalize()
    return app


def _add_timers(app: WorkerApp, reader: ConsumerReader, *, heal: bool) -> None:
    @app.timer(TICK_S)  # type: ignore[untyped-decorator]
    async def heal_shards() -> None:
        try:
            if heal:
                await app.shards.heal(reader)
        except (KafkaError, LogError, TimeoutError) as error:
            _log.warning("could not read again where records went by (%r); tried again in %s s", error, TICK_S)

    @app.timer(TICK_S)  # type: ignore[untyped-decorator]
    async def refresh_views() -> None:
        if not reader.flowing():
            return
        try:
            app.views.refresh(time.monotonic())
        except Exception:  # noqa: BLE001 (counted, logged, mended below)
            app.shards.counters.live_errors_total += 1
            _log.exception("live views could not be written; seals do not depend on them")


def _faust_settings(settings: WorkerSettings) -> dict[str, Any]:
    """Faust's settings, each one tried (docs/decisions.md, Faust)."""
    kafka = settings.kafka
    return {
        "id": kafka.group_id(settings.group),
        "broker": [URL(f"kafka://{server.strip()}") for server in kafka.servers.split(",")],
        "broker_client_id": kafka.client_id,
        "broker_credentials": _credentials(kafka.client_options),
        "broker_session_timeout": settings.session_timeout_s,
        "broker_heartbeat_interval": settings.heartbeat_interval_s,
        # Faust refuses a request timeout below the session's.
        "broker_request_timeout": max(settings.session_timeout_s + 5, kafka.request_timeout_ms / 1000),
        "broker_commit_interval": settings.commit_interval_s,
        # Our commits stand still while an epoch is open; that is no livelock.
        "broker_commit_livelock_soft_timeout": 10 * 365 * 86_400.0,
        "broker_max_poll_records": settings.max_poll_records,
        "consumer_max_fetch_size": kafka.fetch_bytes,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": settings.group_instance_id,
        **_identity(settings),
        "producer_acks": -1,
        "producer_request_timeout": kafka.delivery_timeout_ms / 1000,
        "stream_wait_empty": False,
        # Faust counts messages, and a message of chat.events is a batch.
        "stream_buffer_maxsize": settings.buffer_records // BATCH_RECORDS,
        "table_standby_replicas": 0,
        "topic_partitions": kafka.partitions,
        "topic_replication_factor": kafka.replication_factor,
        "topic_disable_leader": True,
        "datadir": settings.data_dir,
        "store": "memory://",
        "web_enabled": settings.web_port is not None,
        "web_bind": settings.web_host,
        "web_host": settings.web_host,
        "web_port": settings.web_port or 6066,
        "web_tables_enabled": False,
        "web_router_enabled": False,
        "web_graph_enabled": False,
        "web_stats_enabled": False,
        "web_metrics_enabled": False,
        "worker_redirect_stdouts": False,
        "Table": LiveTable,
        "TableManager": Tables,
    }


def _identity(settings: WorkerSettings) -> dict[str, Any]:
    """A static member is handed its former assignment as it was made, and Faust's assignor asserts that the URL in it
    is still its own: after a change of port or host name it would hang. So its URL is its name; nothing calls it."""
    if settings.group_instance_id is None:
        return {}
    return {"canonical_url": URL.build(scheme="http", host=settings.group_instance_id.lower())}


def _credentials(options: Mapping[str, Any]) -> Any:
    """Faust's form of aiokafka's security options. LogError for one that has none."""
    known = {"security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise LogError(
            f"Kafka client options {', '.join(unknown)} have no counterpart in Faust; leave them out, "
            "or use the direct engine (TWZRD_ENGINE=direct)"
        )
    protocol = options.get("security_protocol", "PLAINTEXT")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context=options.get("ssl_context"))
    return faust.SASLCredentials(
        username=options.get("sasl_plain_username"),
        password=options.get("sasl_plain_password"),
        mechanism=options.get("sasl_mechanism", "PLAIN"),
        ssl_context=options.get("ssl_context"),
    )


def run_worker(
    settings: WorkerSettings,
    schedule: PolicySchedule,
    pepper: bytes,
    *,
    archive: ArchiveReader | None = None,
    faults: Faults = NO_FAULTS,
) -> NoReturn:
    """Run one worker until SIGTERM or SIGINT; ends the process (SystemExit 0 when asked to stop, else an error).
    It logs as the process does already; where nothing was configured, as Faust does."""
    handlers = logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(KnownErrors())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_app(settings, schedule, pepper, archive=archive, faults=faults)
    worker = BoundedWorker(
        app,
        loop=loop,
        loglevel=settings.log_level,
        quiet=True,
        redirect_stdouts=False,
        override_logging=not handlers,
    )
    worker.spinner = None  # it writes its escape codes into pipes, too
    worker.execute_from_commandline()
    raise SystemExit(0)
