"""The development broker: real, shared, found again by other processes, back with its data after kill -9."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.kafka import DevKafka, KafkaError, KafkaUnavailable, jars
from infra.kafka.probe import answers

pytestmark = pytest.mark.kafka

# In 2001, older than any retention: its record must stay.
LONG_AGO_MS = 1_000_000_000_000


async def make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1)])
    finally:
        await admin.close()


async def put(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=1, timestamp_ms=LONG_AGO_MS)
    finally:
        await producer.stop()


async def get(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, int]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 1)])
        await consumer.seek_to_beginning()
        found = [await consumer.getone() for _ in range(count)]
        return [(record.value, record.timestamp) for record in found]
    finally:
        await consumer.stop()


async def test_keeps_records_however_old_their_stamp_is(kafka_broker: str, kafka_prefix: str) -> None:
    await make_topic(kafka_broker, kafka_prefix + "chat")
    await put(kafka_broker, kafka_prefix + "chat", [b"one", b"two"])
    found = await get(kafka_broker, kafka_prefix + "chat", 2)
    assert [value for value, _ in found] == [b"one", b"two"]
    assert all(timestamp_ms > LONG_AGO_MS for _, timestamp_ms in found), "stamped on arrival"


@pytest.mark.slow
async def test_killed_broker_comes_back_on_its_port_with_its_data(
    kafka_broker_private: Callable[[], DevKafka],
) -> None:
    broker = kafka_broker_private()
    bootstrap = broker.start()
    port = int(bootstrap.rpartition(":")[2])
    first = broker.running_pid()
    await make_topic(bootstrap, "chat")
    await put(bootstrap, "chat", [b"before"])
    broker.kill()
    assert broker.running_pid() is None
    assert not answers(port)
    assert broker.start() == bootstrap
    assert broker.running_pid() != first
    await put(bootstrap, "chat", [b"after"])
    assert [value for value, _ in await get(bootstrap, "chat", 2)] == [b"before", b"after"]
    broker.stop()
    assert broker.running_pid() is None
    # A folder of any name, and a broker that was stopped properly.
    assert broker.start() == bootstrap
    assert [value for value, _ in await get(bootstrap, "chat", 1)] == [b"before"]


@pytest.mark.slow
def test_another_process_finds_it_and_may_stop_it(kafka_broker_private: Callable[[], DevKafka]) -> None:
    broker = kafka_broker_private()
    bootstrap, pid = broker.start(), broker.running_pid()
    script = (
        "import sys; from pathlib import Path; from infra.kafka import DevKafka\n"
        "broker = DevKafka(Path(sys.argv[1])); print(broker.start(), broker.running_pid(), flush=True); broker.stop()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(broker.data_dir)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [bootstrap, str(pid)]
    assert broker.running_pid() is None


@pytest.mark.slow
def test_broker_that_cannot_start_shows_its_own_words(
    kafka_broker: str, kafka_broker_private: Callable[[], DevKafka]
) -> None:
    broker = kafka_broker_private()
    broker.stop()
    (broker.data_dir / "log" / "meta.properties").write_text("version=1\ncluster.id=nonsense\nnode.id=77\n")
    with pytest.raises(KafkaError, match="77"):
        broker.start()


def test_port_of_another_program_is_named(kafka_broker: str, tmp_path: Path) -> None:
    port = int(kafka_broker.rpartition(":")[2])
    with pytest.raises(KafkaError, match=f"port {port} is in use"):
        DevKafka(tmp_path / "kafka", port).start()


def test_missing_java_and_maven_are_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match="apt-get install openjdk-17-jre-headless"):
        jars.java()
    with pytest.raises(KafkaUnavailable, match="apt-get install maven"):
        jars.ensure_jars(tmp_path / "cache")
    assert not list((tmp_path / "cache" / "kafka").glob(".download-*")), "nothing half made is left"


def test_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaUnavailable, match=r"is Java 11\.0\.2"):
        jars.java()


def test_a_jar_that_differs_is_refused(kafka_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download_something_else(folder: Path) -> None:
        (folder / "kafka_2.13-4.3.1.jar").write_bytes(b"other bytes")

    monkeypatch.setattr(jars, "_download", download_something_else)
    with pytest.raises(KafkaUnavailable, match=r"jars\.sha256"):
        jars.ensure_jars(tmp_path / "cache")


def test_stranger_with_the_same_pid_is_not_the_broker(tmp_path: Path) -> None:
    broker = DevKafka(tmp_path / "kafka")
    broker.data_dir.mkdir()
    me = psutil.Process()
    state = f'{{"pid":{me.pid},"started_s":{me.create_time() - 3600},"port":20001,"controller_port":20002}}'
    (broker.data_dir / "broker.json").write_text(state)
    assert broker.running_pid() is None
    broker.stop()
    assert me.is_running(), f"and gets no {signal.SIGTERM.name}"
