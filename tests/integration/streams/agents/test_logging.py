"""What a Faust worker logs is what every other process logs: one JSON object a line, known errors in one of them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.log.kafka import KafkaLog
from streams.log.port import CHAT_EVENTS, Append
from tests.integration.streams.agents.conftest import PARTITIONS, PROJECT

pytestmark = pytest.mark.kafka


async def test_an_error_that_is_known_ends_the_worker_in_one_line(log: KafkaLog, tmp_path: Path) -> None:
    for partition in range(PARTITIONS):
        await log.append(CHAT_EVENTS, [Append(partition, b"k", b"junk")] * 5)
        await log.commit("work", CHAT_EVENTS, partition, 1)
    admin = AIOKafkaAdminClient(bootstrap_servers=log.settings.servers)
    await admin.start()
    topic = log.settings.topic(CHAT_EVENTS)
    await admin.delete_records(
        {TopicPartition(topic, partition): RecordsToDelete(3) for partition in range(PARTITIONS)}
    )
    await admin.close()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    told = {
        "TWZRD_HOME": str(tmp_path),
        "TWZRD_LOG": "kafka",
        "TWZRD_ENGINE": "faust",
        "TWZRD_KAFKA_BOOTSTRAP": log.settings.servers,
        "TWZRD_TOPIC_PREFIX": log.settings.prefix,
        "TWZRD_PARTITIONS": str(PARTITIONS),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "infra.cli", "work", "--web-port", "0"],
        env={**inherited, "PYTHONPATH": str(PROJECT), **told},
        capture_output=True,
        timeout=90,
    )
    print(done.stderr.decode())
    assert done.returncode != 0
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert any("trimmed too early" in line["message"] for line in lines if line["level"] == "error")
    assert b"Traceback" not in done.stderr
