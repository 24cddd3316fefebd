"""What a Faust worker shows and says beside sealing: live views, lag, metrics, revisions, dead letters."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from schemas.dead import decode as decode_dead
from schemas.sealed import Late, Seal, decode_record
from streams.log.kafka import KafkaLog
from streams.log.port import CHAT_EVENTS, DEAD, EPOCH_SEALED, Append
from streams.runner.driver import read_through
from streams.runner.resealer import request_reseal
from tests.integration.streams.agents.chat import SCHEDULE, START_MS, SealReader, append, channel, several
from tests.integration.streams.agents.conftest import PARTITIONS, StartWorker, page_when

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_open_epochs_are_shown_live_and_go_when_sealed(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    records = list(channel(1, hours=3, events_per_hour=200, seed=seed))
    await append(log, records[:-1])
    worker = start_worker()
    rows = await page_when(worker, "/live/channel1", lambda rows: bool(rows) and rows[-1]["messages"] > 0)
    # The watermark stands 120 s before the end of the third hour, so that hour is open and the two before are sealed.
    assert [row["epoch_start_s"] for row in rows] == [START_MS // 1000 + 7200]
    view = rows[0]
    assert view["channel"] == "twitch:id:1001"
    assert view["frontier_ms"] == START_MS + 3 * 3_600_000
    assert view["watermark_ms"] == view["frontier_ms"] - 120_000
    assert 0 < view["participants"] <= 200
    assert len(view["top"]) == 10
    assert int(view["weight_centi"]) >= 100 * view["participants"]
    assert rows == orjson.loads(await worker.get("/live"))

    metrics = (await worker.get("/metrics")).decode()
    assert 'twzrd_channel_watermark_ms{channel="twitch:id:1001"}' in metrics
    assert "twzrd_worker_agent_errors_total 0.0" in metrics
    (partition,) = (row for row in orjson.loads(await worker.get("/lag")) if row["next"])
    assert partition["next"] == partition["end"] == len(records) - 1
    assert 0 < partition["low_water"] < partition["next"]
    assert partition["lag_records"] == 0

    await append(log, records[-1:])
    assert await page_when(worker, "/live", lambda rows: rows == []) == []


async def test_live_views_are_there_again_after_kill_9(log: KafkaLog, start_worker: StartWorker, seed: int) -> None:
    await append(log, list(channel(1, hours=2, events_per_hour=200, seed=seed))[:-1])
    worker = start_worker(instance="a")
    before = await page_when(worker, "/live", lambda rows: bool(rows) and rows[0]["messages"] > 0)
    worker.kill()
    after = await page_when(start_worker(instance="a"), "/live", lambda rows: rows == before)
    assert after == before


async def test_late_events_are_told_and_a_reseal_record_gives_revision_1(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    records = list(channel(1, hours=3, events_per_hour=200, seed=seed))
    late = records.pop(2)
    await append(log, [*records, late])
    reader = SealReader(log, PARTITIONS)
    worker = start_worker(instance="a")
    await reader.until(3)
    partition, offset = await request_reseal(
        log, "twitch:id:1001", START_MS // 1000, SCHEDULE.epoch_length_s, login="channel1"
    )
    await reader.until(4)
    worker.kill()
    start_worker(instance="a")
    await append(log, list(channel(1, hours=1, events_per_hour=40, seed=seed + 1)))  # one more notice of late events
    found = await records_until(log, EPOCH_SEALED, partition, lambda found: count(found, Late) >= 2)
    decoded = [decode_record(value) for value in found]
    revisions = {(one.epoch_start_s, one.revision): one for one in decoded if isinstance(one, Seal)}
    assert sorted(revision for epoch, revision in revisions if epoch == START_MS // 1000) == [0, 1]
    second = revisions[START_MS // 1000, 1]
    assert (second.closed_by, second.through_offset) == ("reseal", offset)
    first = next(one for one in decoded if isinstance(one, Late))
    assert (first.offset, first.count) == (len(records), 40)


async def test_a_log_trimmed_below_the_committed_offset_ends_the_worker(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    """Where records that an open epoch needs are gone, every seal from there on would be wrong."""
    await append(log, several(8, hours=2, events_per_hour=200, seed=seed))
    admin = AIOKafkaAdminClient(bootstrap_servers=log.settings.servers)
    await admin.start()
    for partition in range(PARTITIONS):
        await log.commit("work", CHAT_EVENTS, partition, 1)
        await admin.delete_records({TopicPartition(log.settings.topic(CHAT_EVENTS), partition): RecordsToDelete(3)})
    await admin.close()
    worker = start_worker()
    assert await asyncio.to_thread(worker.process.wait, 60) != 0
    assert "trimmed too early" in worker.log_file.read_text()
    reader = SealReader(log, PARTITIONS)
    await reader.to_the_end()
    assert not reader.headers


async def test_what_cannot_be_decoded_becomes_a_dead_letter(
    log: KafkaLog, start_worker: StartWorker, seed: int
) -> None:
    records = list(channel(1, hours=1, events_per_hour=100, seed=seed))
    junk = Append(None, records[0].key, b"\xff not an envelope")
    await append(log, [*records[:2], junk, *records[2:]])
    start_worker()
    await SealReader(log, PARTITIONS).until(1)
    (value,) = await records_until(log, DEAD, 0, lambda found: len(found) == 1)
    letter = decode_dead(value)
    assert (letter.where["stream"], letter.where["offset"]) == (CHAT_EVENTS, 2)


def count(values: list[bytes], kind: type[Late]) -> int:
    return sum(isinstance(decode_record(value), kind) for value in values)


async def records_until(
    log: KafkaLog, stream: str, partition: int, enough: Callable[[list[bytes]], bool], timeout_s: float = 60.0
) -> list[bytes]:
    """All values of a partition once there are enough."""
    async with asyncio.timeout(timeout_s):
        while True:
            first, end = await log.span(stream, partition)
            found = [one.value async for batch in read_through(log, stream, partition, first, end) for one in batch]
            if enough(found):
                return found
            await log.read(stream, partition, end, wait_ms=500)
