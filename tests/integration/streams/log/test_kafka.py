"""The Kafka log where it is more than the port: topics, lost brokers, bounds. (The port itself: tests/conformance.)"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.kafka import DevKafka
from infra.kafka.probe import port_is_free
from schemas.streams import CHAT_EVENTS, CHAT_TEXT, CONTROL, STREAMS
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.kafka.readers import READERS_PER_PARTITION
from streams.log.kafka.topics import MAX_RECORD_BYTES
from streams.log.port import Append, LogError

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka_broker: str, kafka_prefix: str) -> KafkaSettings:
    return KafkaSettings(kafka_broker, partitions=2, prefix=kafka_prefix)


@pytest.fixture
async def kafka(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(settings)
    await log.open()
    yield log
    await log.close()


def numbered(start: int, end: int, size: int = 0) -> list[Append]:
    return [Append(0, b"key", b"%d" % number + bytes(size)) for number in range(start, end)]


async def values(log: KafkaLog, partition: int = 0) -> list[bytes]:
    first, end = await log.span(CHAT_EVENTS, partition)
    found: list[bytes] = []
    while first < end:
        records = await log.read(CHAT_EVENTS, partition, first)
        found += [record.value for record in records]
        first = records[-1].offset + 1
    return found


async def test_a_wrong_address_is_named() -> None:
    with pytest.raises(LogError, match=r"Kafka at 127\.0\.0\.1:1 cannot be reached"):
        await KafkaLog(KafkaSettings("127.0.0.1:1")).open()


async def test_another_partition_count_is_refused(kafka: KafkaLog) -> None:
    other = KafkaSettings(kafka.settings.servers, partitions=3, prefix=kafka.settings.prefix)
    with pytest.raises(LogError, match=r"has 2 partitions, the settings say 3"):
        await KafkaLog(other).open()


async def test_several_workers_may_create_the_topics_at_once(settings: KafkaSettings) -> None:
    logs = [KafkaLog(settings) for _ in range(3)]
    await asyncio.gather(*(log.open() for log in logs))
    assert [await log.partitions(CHAT_EVENTS) for log in logs] == [2, 2, 2]
    await asyncio.gather(*(log.close() for log in logs))


async def test_topics_keep_records_by_explicit_settings(kafka: KafkaLog) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.settings.servers)
    await admin.start()
    try:
        names = [kafka.settings.topic(stream) for stream in STREAMS]
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    finally:
        await admin.close()
    found = {name: {e[0]: e[1] for e in entries} for answer in answers for *_, name, entries in answer.resources}
    for stream in STREAMS:
        config = found[kafka.settings.topic(stream)]
        assert config["retention.ms"] == (str(30 * 86_400_000) if stream == CHAT_TEXT else "-1")
        assert config["min.compaction.lag.ms"] == ("86400000" if stream == CONTROL else "0")
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert config["max.message.bytes"] == str(8 << 20)
        assert config["cleanup.policy"] == ("compact" if stream == CONTROL else "delete")
    assert kafka.remarks == []


async def test_a_topic_with_other_retention_is_remarked_on(kafka: KafkaLog) -> None:
    other = KafkaLog(KafkaSettings(kafka.settings.servers, partitions=2, prefix=kafka.settings.prefix, retention_ms=5))
    await other.open()
    await other.close()
    assert len(other.remarks) == len(STREAMS) - 1, "text has a retention of its own"
    assert "retention.ms=-1, the settings say 5" in other.remarks[0]


async def test_a_topic_whose_replica_may_take_over_without_the_newest_records_is_remarked_on(
    settings: KafkaSettings,
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers)
    await admin.start()
    config = settings.topic_config(CHAT_EVENTS) | {"unclean.leader.election.enable": "true"}
    await admin.create_topics(
        [NewTopic(settings.topic(CHAT_EVENTS), settings.partition_count(CHAT_EVENTS), 1, topic_configs=config)]
    )
    await admin.close()
    log = KafkaLog(settings)
    await log.open()
    await log.close()
    [remark] = log.remarks
    assert "unclean.leader.election.enable=true, the settings say false" in remark


async def test_a_record_over_the_bound_is_refused_before_any_is_written(kafka: KafkaLog) -> None:
    with pytest.raises(LogError, match="over the bound"):
        await kafka.append(CHAT_EVENTS, [*numbered(0, 1), Append(0, b"", bytes(MAX_RECORD_BYTES + 1))])
    assert await kafka.span(CHAT_EVENTS, 0) == (0, 0)


async def test_the_largest_record_comes_back(kafka: KafkaLog) -> None:
    value = bytes(range(256)) * (MAX_RECORD_BYTES // 256)
    await kafka.append(CHAT_EVENTS, [*numbered(0, 1), Append(0, b"", value), *numbered(1, 2)])
    assert await values(kafka) == [b"0", value, b"1"]


async def test_records_deleted_by_the_operator_are_passed_over(kafka: KafkaLog) -> None:
    await kafka.append(CHAT_EVENTS, numbered(0, 10))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.settings.servers)
    await admin.start()
    place = TopicPartition(kafka.settings.topic(CHAT_EVENTS), 0)
    await admin.delete_records({place: RecordsToDelete(before_offset=4)})
    await admin.close()
    assert await kafka.span(CHAT_EVENTS, 0) == (4, 10)
    assert [record.offset for record in await kafka.read(CHAT_EVENTS, 0, 0)] == list(range(4, 10))


async def test_reading_beyond_the_end_gives_nothing_and_does_not_start_anew(kafka: KafkaLog) -> None:
    await kafka.append(CHAT_EVENTS, numbered(0, 3))
    assert await kafka.read(CHAT_EVENTS, 0, 7, wait_ms=50) == []
    assert await kafka.read(CHAT_EVENTS, 0, 7) == []
    assert [record.value for record in await kafka.read(CHAT_EVENTS, 0, 2)] == [b"2"]


async def test_reading_on_uses_the_same_consumer(kafka: KafkaLog) -> None:
    await kafka.append(CHAT_EVENTS, numbered(0, 200))
    places = {"slow": 0, "fast": 0}
    for _ in range(20):
        for name, step in (("slow", 2), ("fast", 10)):
            records = await kafka.read(CHAT_EVENTS, 0, places[name], max_records=step)
            assert [record.value for record in records] == [b"%d" % (places[name] + n) for n in range(step)]
            places[name] += step
    assert kafka._readers is not None
    assert kafka._readers.opened_total <= READERS_PER_PARTITION


async def test_more_callers_than_readers_take_turns(kafka_broker: str, kafka_prefix: str) -> None:
    log = KafkaLog(KafkaSettings(kafka_broker, partitions=6, prefix=kafka_prefix, max_readers=2))
    await log.open()
    await log.append(CHAT_EVENTS, [Append(partition, b"", b"%d" % partition) for partition in range(6)])
    found = await asyncio.gather(*(log.read(CHAT_EVENTS, partition, 0) for partition in range(6)))
    assert [records[0].value for records in found] == [b"%d" % partition for partition in range(6)]
    assert log._readers is not None
    assert len(log._readers._readers) <= 2
    await log.close()


async def test_a_cancelled_wait_leaves_the_reader_whole(kafka: KafkaLog) -> None:
    assert await kafka.read(CHAT_EVENTS, 0, 0) == []
    waiting = asyncio.create_task(kafka.read(CHAT_EVENTS, 0, 0, wait_ms=60_000))
    await kafka.append(CHAT_EVENTS, [Append(1, b"", b"elsewhere")])
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await kafka.append(CHAT_EVENTS, numbered(0, 3))
    assert await values(kafka) == [b"0", b"1", b"2"]
    assert kafka._readers is not None
    assert kafka._readers.opened_total == 1


async def test_a_group_with_live_members_keeps_its_positions_to_itself(kafka: KafkaLog) -> None:
    member = AIOKafkaConsumer(
        kafka.settings.topic(CHAT_EVENTS),
        bootstrap_servers=kafka.settings.servers,
        group_id=kafka.settings.group_id("workers"),
        enable_auto_commit=False,
    )
    await member.start()
    try:
        with pytest.raises(LogError, match="has live members"):
            await kafka.commit("workers", CHAT_EVENTS, 0, 5)
    finally:
        await member.stop()
    await kafka.commit("workers", CHAT_EVENTS, 0, 5)
    assert await kafka.committed("workers", CHAT_EVENTS, 0) == 5


async def test_a_closed_log_says_so(settings: KafkaSettings) -> None:
    log = KafkaLog(settings)
    await log.open()
    await log.close()
    await log.close()
    with pytest.raises(LogError, match="is not open"):
        await log.append(CHAT_EVENTS, numbered(0, 1))


def kill(broker: DevKafka, servers: str) -> None:
    """Kill, and wait until the kernel has given the port back; its next start would take another one."""
    broker.kill()
    deadline_s = time.monotonic() + 10
    while not port_is_free(int(servers.rpartition(":")[2])):
        assert time.monotonic() < deadline_s, "the port of a killed broker stays taken"
        time.sleep(0.01)


@pytest.mark.slow
async def test_broker_killed_while_appending_loses_and_reorders_nothing_acknowledged(
    kafka_broker_private: Callable[[], DevKafka],
) -> None:
    broker = kafka_broker_private()
    servers = await asyncio.to_thread(broker.start)
    log = KafkaLog(KafkaSettings(servers, partitions=1, prefix="k."))
    await log.open()
    acknowledged = 0
    grown: asyncio.Queue[int] = asyncio.Queue()
    stop = asyncio.Event()

    async def append() -> None:
        nonlocal acknowledged
        while not stop.is_set():
            placed = await log.append(CHAT_EVENTS, numbered(acknowledged, acknowledged + 50, size=2000))
            assert [partition for partition, _ in placed] == [0] * 50
            acknowledged += 50
            grown.put_nowait(acknowledged)

    async def progress(to: int) -> None:
        while acknowledged < to:
            step = asyncio.create_task(grown.get())
            await asyncio.wait({step, writer}, return_when=asyncio.FIRST_COMPLETED)
            assert not writer.done(), writer.exception()

    writer = asyncio.create_task(append())
    await progress(500)
    for _ in range(2):
        await asyncio.to_thread(kill, broker, servers)
        assert await asyncio.to_thread(broker.start) == servers
        await progress(acknowledged + 500)
    stop.set()
    await writer
    # The idempotent producer repeats nothing either: what is there is what was given, in order.
    assert [value[: -2000 or None] for value in await values(log)] == [b"%d" % n for n in range(acknowledged)]
    await log.close()


@pytest.mark.slow
async def test_an_append_ends_when_the_broker_stays_away_and_the_next_one_works(
    kafka_broker_private: Callable[[], DevKafka],
) -> None:
    broker = kafka_broker_private()
    settings = KafkaSettings(
        await asyncio.to_thread(broker.start),
        partitions=1,
        prefix="k.",
        request_timeout_ms=2000,
        delivery_timeout_ms=1500,
    )
    log = KafkaLog(settings)
    await log.open()
    await log.append(CHAT_EVENTS, numbered(0, 10))
    await log.read(CHAT_EVENTS, 0, 0)
    await asyncio.to_thread(kill, broker, settings.servers)
    began_s = time.monotonic()
    failed = await asyncio.gather(
        *(log.append(CHAT_EVENTS, numbered(10, 20)) for _ in range(2)), return_exceptions=True
    )
    assert time.monotonic() - began_s < 5
    assert all(isinstance(error, LogError) and settings.servers in str(error) for error in failed), failed
    with pytest.raises(LogError, match="reading"):
        await log.span(CHAT_EVENTS, 0)
    with pytest.raises(LogError):
        await log.commit("g", CHAT_EVENTS, 0, 1)
    await asyncio.to_thread(broker.start)
    await log.append(CHAT_EVENTS, numbered(20, 30))
    assert log._writer is not None
    assert log._writer.replaced_total == 1
    found = await values(log)
    assert found[:10] == [b"%d" % n for n in range(10)]
    assert found[-10:] == [b"%d" % n for n in range(20, 30)]
    await log.close()
