"""Settings of the Kafka log, and its topics: names, explicit configuration, creation, checks at start.

Explicit because the broker's defaults lose chat (field notes: History on Kafka): retention goes by record time
stamps, so a seven-day default deletes what a historic load has just written. LogAppendTime and a stated retention
make it a matter of when the log took a record in.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.streams import CHAT_EVENTS, CHAT_TEXT, CONTROL, DEAD, EPOCH_SEALED, STREAMS
from streams.log.port import LogAway, LogError

log = logging.getLogger(__name__)

TOPIC_MAX_MESSAGE_BYTES: Final = 8 << 20
"""The broker's bound on one batch; ours on a request stays below, so that it is we who refuse, with a reason."""
MAX_RECORD_BYTES: Final = TOPIC_MAX_MESSAGE_BYTES - (64 << 10)
"""Key and value of one record together."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Everything the Kafka log can be told. Times in ms, sizes in bytes."""

    servers: str
    """host:port, comma-separated."""
    partitions: int = 4
    """Of chat.events and epoch.sealed each; fixed once the topics exist."""
    prefix: str = "twzrd."
    """Put before stream and group names, so that several installations can share a cluster."""
    replication_factor: int = 1
    min_insync_replicas: int = 1
    """With 3 replicas set 2: an acknowledged record then lies on two machines."""
    retention_ms: int = -1
    """Of every topic but chat.text; -1 keeps for good."""
    text_retention_ms: int = 30 * 86_400_000
    """Of chat.text: message text is never kept for good."""
    compaction_lag_ms: int = 86_400_000
    """How old a record of control is before a newer one of its key may replace it: readers see all of a day's."""
    client_id: str = "twzrd"
    linger_ms: int = 0
    """With one request at a time per broker, appends gather while one is under way; waiting longer only delays."""
    batch_bytes: int = 1 << 20
    compression: str | None = "zstd"
    """None, "zstd", "lz4", "snappy" or "gzip", per batch. For 10,000 envelopes of 8 kB the client's CPU to write and
    to read was 0.6 + 0.25 s with zstd, 0.4 + 0.4 s with none, 1.6 + 0.25 s with lz4."""
    fetch_bytes: int = 4 << 20
    """What one reader fetches ahead of its caller."""
    request_timeout_ms: int = 15_000
    delivery_timeout_ms: int = 120_000
    """How long an append waits for a lost broker to come back before it raises."""
    max_readers: int = 32
    max_groups: int = 16
    client_options: Mapping[str, Any] = field(default_factory=dict)
    """Passed to every aiokafka client: security_protocol, ssl_context, sasl_*."""

    def topic(self, stream: str) -> str:
        """Kafka's name of a stream. LogError for a stream that does not exist."""
        if stream not in STREAMS:
            raise LogError(f"stream {stream!r} does not exist; streams are {', '.join(STREAMS)}")
        return self.prefix + stream

    def group_id(self, group: str) -> str:
        """Kafka's name of a consumer group."""
        return self.prefix + group

    def partition_count(self, stream: str) -> int:
        """How many partitions a stream has by the settings."""
        self.topic(stream)
        return self.partitions if stream in (CHAT_EVENTS, EPOCH_SEALED) else 1

    def common(self) -> dict[str, Any]:
        """Arguments that every client takes."""
        return {
            "bootstrap_servers": [server.strip() for server in self.servers.split(",")],
            "client_id": self.client_id,
            "request_timeout_ms": self.request_timeout_ms,
            **self.client_options,
        }

    def topic_config(self, stream: str) -> dict[str, str]:
        """The topic's own configuration; nothing that matters is left to the broker's defaults."""
        config = {
            "cleanup.policy": "compact" if stream == CONTROL else "delete",
            "retention.ms": str(self.text_retention_ms if stream == CHAT_TEXT else self.retention_ms),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(TOPIC_MAX_MESSAGE_BYTES),
            "compression.type": "producer",
            "min.insync.replicas": str(self.min_insync_replicas),
            "unclean.leader.election.enable": "false",
        }
        if stream in (EPOCH_SEALED, DEAD, CONTROL):
            config["segment.bytes"] = str(256 << 20)
        if stream in (CONTROL, CHAT_TEXT):
            # The open segment is neither compacted nor deleted: on a quiet topic it must end by time.
            config["segment.ms"] = str(86_400_000)
        if stream == CONTROL:
            config["min.compaction.lag.ms"] = str(self.compaction_lag_ms)
        return config


_LOSES_RECORDS: Final = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "message.timestamp.type",
    "unclean.leader.election.enable",
)
"""Where an existing topic differs in one of these, records may go sooner than the settings say."""


async def ensure_topics(settings: KafkaSettings) -> list[str]:
    """Create missing topics and check those that are there. Returns remarks on configuration that differs.

    Raises LogAway where the cluster cannot be reached, LogError where it refuses or has another number of partitions.
    """
    admin = AIOKafkaAdminClient(**settings.common())
    try:
        async with asyncio.timeout(settings.request_timeout_ms / 1000):
            await admin.start()
            await _create_missing(admin, settings)
            await _check_partitions(admin, settings)
            return await _remarks(admin, settings)
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogAway(
            f"Kafka at {settings.servers} cannot be reached or did not answer: {describe(error)}; "
            "start the broker or mend the servers setting"
        ) from error
    finally:
        await admin.close()


async def _create_missing(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    present = set(await admin.list_topics())
    missing = [stream for stream in STREAMS if settings.topic(stream) not in present]
    if not missing:
        return
    topics = [
        NewTopic(
            settings.topic(stream),
            settings.partition_count(stream),
            settings.replication_factor,
            topic_configs=settings.topic_config(stream),
        )
        for stream in missing
    ]
    response = await admin.create_topics(topics, timeout_ms=settings.request_timeout_ms)
    for name, code, *detail in response.topic_errors:
        # Another process that starts at the same moment may have been first.
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise LogError(
                f"Kafka at {settings.servers} refused to create topic {name}: {for_code(code).__name__} "
                f"{detail[0] if detail else ''}; create it by hand or mend its settings"
            )


async def _check_partitions(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    """Waits until every topic is visible with a leader; the caller's timeout bounds it."""
    names = [settings.topic(stream) for stream in STREAMS]
    while True:
        described = {topic["topic"]: topic for topic in await admin.describe_topics(names)}
        partitions = {name: described.get(name, {}).get("partitions", []) for name in names}
        if all(found and all(part["leader"] >= 0 for part in found) for found in partitions.values()):
            break
        await asyncio.sleep(0.05)
    for stream in STREAMS:
        name, expected = settings.topic(stream), settings.partition_count(stream)
        if len(partitions[name]) != expected:
            raise LogError(
                f"Kafka at {settings.servers}: topic {name} has {len(partitions[name])} partitions, the settings say "
                f"{expected}; a channel's records would be split, so set partitions to what the topic has, "
                "or use another prefix"
            )


async def _remarks(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> list[str]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, settings.topic(stream)) for stream in STREAMS]
    remarks = []
    for response in await admin.describe_configs(resources):
        for _code, _message, _type, name, entries in response.resources:
            found = {entry[0]: entry[1] for entry in entries}
            wanted = settings.topic_config(name.removeprefix(settings.prefix))
            remarks += [
                f"Kafka at {settings.servers}: topic {name} has {key}={found.get(key)}, the settings say "
                f"{wanted[key]}; records may be deleted earlier or kept longer than meant, alter the topic"
                for key in _LOSES_RECORDS
                if found.get(key) != wanted[key]
            ]
    for remark in remarks:
        log.warning(remark)
    return remarks


def describe(error: BaseException) -> str:
    """An error's name and text; some of aiokafka's have no text."""
    text = str(error)
    return text if type(error).__name__ in text else f"{type(error).__name__}: {text}".rstrip(": ")
