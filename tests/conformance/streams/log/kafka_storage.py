"""Kafka as a storage under test: the run's one broker, topics under a prefix of each test's own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.port import Log


class KafkaStorage:
    """Topics and groups of its own."""

    has_server = True

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.prefix = f"log-{secrets.token_hex(6)}."

    def client(self, partitions: int = 4) -> KafkaLog:
        return KafkaLog(KafkaSettings(self.servers, partitions=partitions, prefix=self.prefix))

    def unreachable(self) -> tuple[Log, str]:
        options = {"sasl_plain_username": "nobody", "sasl_plain_password": "secret"}
        return KafkaLog(KafkaSettings("127.0.0.1:1", client_options=options)), "127.0.0.1:1"

    async def forget(self, log: Log, stream: str, partition: int, before_offset: int) -> None:
        assert isinstance(log, KafkaLog)
        place = TopicPartition(log.settings.topic(stream), partition)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            await admin.delete_records({place: RecordsToDelete(before_offset=before_offset)})
        finally:
            await admin.close()


@asynccontextmanager
async def fresh(servers: str) -> AsyncIterator[KafkaStorage]:
    """A prefix that nobody else uses; its topics are deleted in the end, so that the broker stays small."""
    storage = KafkaStorage(servers)
    yield storage
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(storage.prefix)])
    finally:
        await admin.close()
