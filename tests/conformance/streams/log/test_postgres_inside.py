"""What the Postgres log promises beyond the port: gapless offsets, group commit, bounds, segments and trimming."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from schemas.streams import CHAT_EVENTS, STREAMS
from streams.log.port import Append, LogError, LogRecord
from streams.log.postgres import Bounds, PostgresLog
from tests.conformance.streams.log.postgres_storage import PostgresStorage

pytestmark = pytest.mark.postgres

BoundedFactory = Callable[..., Awaitable[PostgresLog]]
SMALL_SEGMENTS = Bounds(segment_bytes=256 << 10)


@pytest.fixture
async def open_log(postgres: PostgresStorage) -> AsyncIterator[BoundedFactory]:
    opened: list[PostgresLog] = []

    async def open_one(bounds: Bounds | None = None, partitions: int = 4) -> PostgresLog:
        log = postgres.client(partitions, bounds=bounds)
        await log.open()
        opened.append(log)
        return log

    yield open_one
    for log in opened:
        await log.close()


async def everything(log: PostgresLog, partition: int, start: int = 0) -> list[LogRecord]:
    records: list[LogRecord] = []
    while more := await log.read(CHAT_EVENTS, partition, start):
        records += more
        start = more[-1].offset + 1
    return records


async def segment_tables(postgres: PostgresStorage) -> int:
    connection = await postgres.connect()
    count: int = await connection.fetchval(
        "select count(*) from pg_class where relnamespace = 'log'::regnamespace and relkind = 'r' "
        "and relname like 'record\\__%'"
    )
    await connection.close()
    return count


async def test_offsets_are_gapless_and_visible_in_order_under_concurrent_writers(open_log: BoundedFactory) -> None:
    logs = [await open_log() for _ in range(3)]

    async def write(log: PostgresLog) -> None:
        for n in range(30):
            await log.append(CHAT_EVENTS, [Append((n + m) % 4, b"k", b"v") for m in range(5)])

    async def follow(partition: int, until: int) -> list[int]:
        offsets: list[int] = []
        while len(offsets) < until:
            start = offsets[-1] + 1 if offsets else 0
            offsets += [record.offset for record in await logs[0].read(CHAT_EVENTS, partition, start, wait_ms=500)]
        return offsets

    total = 3 * 3 * 30 * 5
    writing = asyncio.gather(*(write(log) for log in logs for _ in range(3)))
    spans = None
    following = [asyncio.create_task(follow(partition, total // 4 - 20)) for partition in range(4)]
    await writing
    spans = [await logs[0].span(CHAT_EVENTS, partition) for partition in range(4)]
    assert sum(after for _, after in spans) == total
    for offsets in await asyncio.gather(*following):
        assert offsets == list(range(len(offsets))), "a reader never passes a gap that fills later"


async def test_concurrent_calls_share_commits(open_log: BoundedFactory) -> None:
    log = await open_log()
    await asyncio.gather(*(log.append(CHAT_EVENTS, [Append(n % 4, b"k", b"%d" % n)]) for n in range(200)))
    assert log.counters.appended_records == 200
    assert log.counters.commits <= 5
    assert len({record.value for p in range(4) for record in await everything(log, p)}) == 200


async def test_a_commit_is_bounded_in_records_and_bytes(open_log: BoundedFactory) -> None:
    by_records = await open_log(Bounds(batch_records=10))
    await asyncio.gather(*(by_records.append(CHAT_EVENTS, [Append(0, b"k", b"v")] * 4) for _ in range(10)))
    assert by_records.counters.commits == 5
    by_bytes = await open_log(Bounds(batch_bytes=100_000))
    await asyncio.gather(*(by_bytes.append(CHAT_EVENTS, [Append(0, b"", b"v" * 30_000)]) for _ in range(9)))
    assert by_bytes.counters.commits == 3


async def test_a_full_queue_makes_append_wait_and_loses_nothing(open_log: BoundedFactory) -> None:
    log = await open_log(Bounds(queued_bytes=10_000))
    await asyncio.gather(*(log.append(CHAT_EVENTS, [Append(0, b"k", b"%4d" % n * 1000)]) for n in range(50)))
    assert log.counters.waits_for_room > 0
    assert [record.value[:4] for record in await everything(log, 0)] == [b"%4d" % n for n in range(50)]


async def test_a_cancelled_append_harms_no_other_and_is_not_written_if_it_was_still_queued(
    open_log: BoundedFactory, postgres: PostgresStorage
) -> None:
    log = await open_log()
    blocker = await postgres.connect()
    await blocker.execute("begin; select 1 from log.head for update")  # holds the first append inside its transaction
    in_flight = asyncio.create_task(log.append(CHAT_EVENTS, [Append(0, b"k", b"in flight")]))
    async with asyncio.timeout(20):
        while not await blocker.fetchval("select count(*) from pg_locks where not granted"):
            await blocker.execute("select pg_sleep(0.01)")
    queued = asyncio.create_task(log.append(CHAT_EVENTS, [Append(0, b"k", b"queued")]))
    other = asyncio.create_task(log.append(CHAT_EVENTS, [Append(0, b"k", b"other")]))
    await asyncio.sleep(0)
    in_flight.cancel()
    queued.cancel()
    await blocker.execute("rollback")
    await blocker.close()
    async with asyncio.timeout(20):
        ((_, offset),) = await other
    values = {record.offset: record.value for record in await everything(log, 0)}
    assert values[offset] == b"other"
    assert b"queued" not in values.values()


async def test_a_record_over_the_bound_is_refused_with_its_size(open_log: BoundedFactory) -> None:
    log = await open_log(Bounds(record_bytes=1000))
    with pytest.raises(LogError, match=r"1001 bytes.*1000"):
        await log.append(CHAT_EVENTS, [Append(0, b"k", b"v" * 1000)])
    assert await log.span(CHAT_EVENTS, 0) == (0, 0)


async def test_what_is_not_bytes_is_refused_and_harms_no_call_beside_it(open_log: BoundedFactory) -> None:
    log = await open_log()
    bad = log.append(CHAT_EVENTS, [Append(0, b"k", "text")])  # type: ignore[arg-type]
    good = log.append(CHAT_EVENTS, [Append(0, b"k", b"v")])
    refused, placed = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(refused, LogError) and "str" in str(refused)
    assert placed == [(0, 0)]


async def test_offsets_outside_the_logs_range_are_refused(open_log: BoundedFactory) -> None:
    log = await open_log()
    for offset in (-1, 1 << 63):
        for refused in (
            log.read(CHAT_EVENTS, 0, offset),
            log.commit("group", CHAT_EVENTS, 0, offset),
            log.trim(CHAT_EVENTS, 0, offset),
        ):
            with pytest.raises(LogError, match=str(offset)):
                await refused


async def test_a_notification_wakes_a_reader_of_another_process_long_before_its_poll(open_log: BoundedFactory) -> None:
    reader, writer = await open_log(Bounds(poll_ms=60_000)), await open_log()
    waiting = asyncio.create_task(reader.read(CHAT_EVENTS, 0, 0, wait_ms=60_000))
    await reader.read(CHAT_EVENTS, 0, 0, wait_ms=50)
    await writer.append(CHAT_EVENTS, [Append(0, b"k", b"v")])
    async with asyncio.timeout(10):
        assert len(await waiting) == 1
    assert reader.counters.notifications == 1


async def test_a_reader_at_the_end_of_a_busy_partition_lets_records_gather(open_log: BoundedFactory) -> None:
    log = await open_log(Bounds(gather_ms=400, gather_bytes=1_000))
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"0")])
    assert len(await log.read(CHAT_EVENTS, 0, 0, wait_ms=60_000)) == 1
    reading = asyncio.create_task(log.read(CHAT_EVENTS, 0, 1, wait_ms=60_000))
    for n in range(1, 4):
        await log.append(CHAT_EVENTS, [Append(0, b"k", b"%d" % n)])
    records = await reading
    assert log.counters.paced_reads == 1
    assert [record.value for record in records] == [b"1", b"2", b"3"]
    # Neither who does not wait, nor who reads elsewhere, nor who has much to catch up with is held up.
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"v" * 2_000), Append(0, b"k", b"last")])
    assert len(await log.read(CHAT_EVENTS, 0, 4)) == 2
    assert len(await log.read(CHAT_EVENTS, 0, 0, wait_ms=60_000)) == 6
    assert len(await log.read(CHAT_EVENTS, 0, 4, max_records=1, wait_ms=60_000)) == 1
    assert len(await log.read(CHAT_EVENTS, 0, 5, wait_ms=60_000)) == 1
    assert log.counters.paced_reads == 1


async def test_close_ends_reads_that_wait(open_log: BoundedFactory) -> None:
    log = await open_log(Bounds(poll_ms=60_000))
    waiting = asyncio.create_task(log.read(CHAT_EVENTS, 0, 0, wait_ms=60_000))
    await log.read(CHAT_EVENTS, 0, 0, wait_ms=50)
    await log.close()
    async with asyncio.timeout(10):
        with pytest.raises(LogError, match="closed"):
            await waiting


async def test_the_poll_finds_what_nobody_told(open_log: BoundedFactory, postgres: PostgresStorage) -> None:
    reader, writer = await open_log(Bounds(poll_ms=100)), await open_log()
    connection = await postgres.connect()
    # A writer killed between its commit and its notification: here the reader's ears are cut off instead.
    reader._waking._heard = lambda *_: None  # type: ignore[method-assign]
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%' and pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(20):
        while not reader.counters.listener_reconnects:
            await reader.read(CHAT_EVENTS, 1, 0, wait_ms=20)
    waiting = asyncio.create_task(reader.read(CHAT_EVENTS, 0, 0, wait_ms=60_000))
    await reader.read(CHAT_EVENTS, 0, 0, wait_ms=50)
    await writer.append(CHAT_EVENTS, [Append(0, b"k", b"v")])
    async with asyncio.timeout(10):
        assert len(await waiting) == 1
    assert reader.counters.empty_polls > 0
    await connection.close()


async def fill(log: PostgresLog, calls: int, seed: int = 0) -> list[tuple[int, int]]:
    placed = []
    for n in range(calls):
        records = [Append((n + m) % 4, b"%d" % seed, b"%d".ljust(4000) % n) for m in range(8)]
        placed += await log.append(CHAT_EVENTS, records)
    return placed


async def test_segments_are_begun_as_the_log_grows_and_read_as_one(
    open_log: BoundedFactory, postgres: PostgresStorage
) -> None:
    first, second, reader = await open_log(SMALL_SEGMENTS), await open_log(SMALL_SEGMENTS), await open_log()
    assert await everything(reader, 0) == []  # its picture of the segments is now old
    placed = await fill(first, 1, 0) + [
        place for places in await asyncio.gather(fill(first, 40, 1), fill(second, 40, 2)) for place in places
    ]
    assert await segment_tables(postgres) > len(STREAMS) + 4
    for partition in range(4):
        offsets = [record.offset for record in await everything(reader, partition)]
        assert offsets == list(range(len(offsets)))
        assert sorted(offset for at, offset in placed if at == partition) == offsets
        middle = offsets[len(offsets) // 2]
        assert [record.offset for record in await everything(reader, partition, middle)] == offsets[middle:]


async def test_trimming_drops_whole_segments_once_no_partition_needs_them(
    open_log: BoundedFactory, postgres: PostgresStorage
) -> None:
    log, reader = await open_log(SMALL_SEGMENTS), await open_log()
    await fill(log, 80)
    assert len(await everything(reader, 3)) == 160
    before = await segment_tables(postgres)
    for partition in range(3):
        assert await log.trim(CHAT_EVENTS, partition, 150) == 150
    assert await segment_tables(postgres) == before, "partition 3 needs them still"
    assert [record.offset for record in await everything(reader, 0)] == list(range(150, 160)), "over trimmed segments"
    assert await log.trim(CHAT_EVENTS, 3, 150) == 150
    assert await segment_tables(postgres) < before
    assert log.counters.segments_dropped > 0
    for partition in range(4):  # also by a reader whose picture is from before
        assert await reader.span(CHAT_EVENTS, partition) == (150, 160)
        assert [record.offset for record in await everything(reader, partition)] == list(range(150, 160))
    assert {offset for _, offset in await log.append(CHAT_EVENTS, [Append(0, b"k", b"v")])} == {160}


async def test_trimming_stops_at_what_a_group_needs(open_log: BoundedFactory) -> None:
    log = await open_log()
    await fill(log, 20)
    await log.commit("archive", CHAT_EVENTS, 0, 30)
    await log.commit("work", CHAT_EVENTS, 0, 12)
    assert await log.trim(CHAT_EVENTS, 0, 25) == 12
    assert await log.trim(CHAT_EVENTS, 1, 25) == 0, "both groups have yet to say what they need of partition 1"
    await log.commit("work", CHAT_EVENTS, 0, 40)
    assert await log.trim(CHAT_EVENTS, 0, 25) == 25
    assert await log.trim(CHAT_EVENTS, 0, 10) == 25, "what is trimmed stays trimmed"
    assert await log.trim(CHAT_EVENTS, 0, 1_000) == 30


async def test_trimming_never_passes_the_end(open_log: BoundedFactory) -> None:
    log = await open_log()
    await fill(log, 2)
    assert await log.trim(CHAT_EVENTS, 0, 1_000) == 4
    assert await log.span(CHAT_EVENTS, 0) == (4, 4)
    assert (await log.append(CHAT_EVENTS, [Append(0, b"k", b"v")])) == [(0, 4)]


async def test_processes_that_open_an_empty_database_together_agree(open_log: BoundedFactory) -> None:
    logs = await asyncio.gather(*(open_log() for _ in range(4)))
    await asyncio.gather(*(log.append(CHAT_EVENTS, [Append(0, b"k", b"v")]) for log in logs))
    assert await logs[0].span(CHAT_EVENTS, 0) == (0, 4)


async def test_a_refused_open_leaves_no_connection_behind(open_log: BoundedFactory, postgres: PostgresStorage) -> None:
    await (await open_log()).close()
    with pytest.raises(LogError, match="partitions"):
        await open_log(partitions=5)
    connection = await postgres.connect()
    async with asyncio.timeout(20):
        while await connection.fetchval("select count(*) from pg_stat_activity where datname = current_database()") > 1:
            await connection.execute("select pg_sleep(0.01)")
    await connection.close()
