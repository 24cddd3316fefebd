"""The sentences of streams.log.port, one test each, on every adapter."""

import asyncio
import time

import pytest

from schemas.streams import CHAT_EVENTS, CONTROL, DEAD, EPOCH_SEALED
from streams.log.partitioner import partition_of
from streams.log.port import Append, Log, LogAway, LogError, LogRecord
from tests.conformance.streams.log.conftest import LogFactory
from tests.conformance.streams.log.storage import Storage


def numbered(first: int, count: int, partition: int | None = 0, size: int = 8) -> list[Append]:
    return [Append(partition, b"k%d" % n, (b"%d" % n).ljust(size)) for n in range(first, first + count)]


async def everything(log: Log, stream: str, partition: int) -> list[LogRecord]:
    first, following = await log.span(stream, partition)
    records: list[LogRecord] = []
    while first < following:
        more = await log.read(stream, partition, first, wait_ms=10_000)
        assert more, f"nothing from {first} below {following}"
        records += more
        first = more[-1].offset + 1
    return records


async def test_the_streams_have_their_partition_counts(log_factory: LogFactory) -> None:
    log = await log_factory(partitions=3)
    counts = [await log.partitions(stream) for stream in (CHAT_EVENTS, EPOCH_SEALED, CONTROL, DEAD)]
    assert counts == [3, 3, 1, 1]


async def test_offsets_returned_are_those_read(log_factory: LogFactory) -> None:
    log = await log_factory()
    sent = [Append(n % 4, b"key%d" % n, b"value%d" % n) for n in range(40)]
    placed = await log.append(CHAT_EVENTS, sent)
    assert len(placed) == len(sent)
    for partition in range(4):
        read = {record.offset: (record.key, record.value) for record in await everything(log, CHAT_EVENTS, partition)}
        assert read == {
            offset: (one.key, one.value) for one, (at, offset) in zip(sent, placed, strict=True) if at == partition
        }


async def test_records_are_read_in_the_order_appended(log_factory: LogFactory) -> None:
    log = await log_factory()
    for call in range(5):
        await log.append(CHAT_EVENTS, numbered(call * 20, 20))
    records = await everything(log, CHAT_EVENTS, 0)
    assert [int(record.value) for record in records] == list(range(100))
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


async def test_without_a_partition_the_key_decides_by_murmur2(log_factory: LogFactory) -> None:
    log = await log_factory(partitions=4)
    keys = [b"twitch:id:%d" % n for n in range(50)]
    placed = await log.append(CHAT_EVENTS, [Append(None, key, b"v") for key in keys])
    assert [partition for partition, _ in placed] == [partition_of(key, 4) for key in keys]
    assert len({partition for partition, _ in placed}) == 4


async def test_keys_and_values_are_any_bytes(log_factory: LogFactory) -> None:
    log = await log_factory()
    sent = [(b"\x00\xff", bytes(range(256))), (b"k", b""), (b"big", b"\x80" * 900_000)]
    await log.append(DEAD, [Append(0, key, value) for key, value in sent])
    assert [(record.key, record.value) for record in await everything(log, DEAD, 0)] == sent


async def test_the_time_is_when_the_log_took_it_in(log_factory: LogFactory) -> None:
    log = await log_factory()
    before_ms = time.time_ns() // 1_000_000
    await log.append(CONTROL, numbered(0, 1))
    after_ms = time.time_ns() // 1_000_000
    (record,) = await log.read(CONTROL, 0, 0, wait_ms=10_000)
    assert before_ms - 5 <= record.time_ms <= after_ms + 5


async def test_what_was_appended_is_there_for_a_client_that_opens_later(log_factory: LogFactory) -> None:
    first = await log_factory()
    placed = await first.append(CHAT_EVENTS, numbered(0, 10))
    await first.close()
    later = await log_factory()
    records = await everything(later, CHAT_EVENTS, 0)
    assert [(0, record.offset) for record in records] == placed
    assert [int(record.value) for record in records] == list(range(10))


async def test_close_flushes_what_is_being_appended(log_factory: LogFactory) -> None:
    log = await log_factory()
    appends = [asyncio.create_task(log.append(CHAT_EVENTS, numbered(n * 10, 10))) for n in range(20)]
    await asyncio.sleep(0)  # each has handed its records over
    await log.close()
    placed = [place for task in appends for place in await task]
    assert len(set(placed)) == 200
    assert len(await everything(await log_factory(), CHAT_EVENTS, 0)) == 200


async def test_concurrent_appends_keep_each_calls_order_and_lose_and_repeat_nothing(log_factory: LogFactory) -> None:
    logs = [await log_factory(), await log_factory()]

    async def writer(number: int) -> list[tuple[bytes, int, int]]:
        sent = []
        for call in range(5):
            records = [Append(n % 4, b"w%d" % number, b"%d" % (call * 8 + n)) for n in range(8)]
            placed = await logs[number % 2].append(CHAT_EVENTS, records)
            sent += [(one.value, *place) for one, place in zip(records, placed, strict=True)]
        return sent

    sent = await asyncio.gather(*(writer(number) for number in range(16)))
    for partition in range(4):
        records = await everything(logs[0], CHAT_EVENTS, partition)
        for number, mine in enumerate(sent):
            read = [(record.value, record.offset) for record in records if record.key == b"w%d" % number]
            assert read == [(value, offset) for value, at, offset in mine if at == partition]
        assert len(records) == 16 * 5 * 2


async def test_an_append_of_nothing_writes_nothing(log_factory: LogFactory) -> None:
    log = await log_factory()
    assert await log.append(CHAT_EVENTS, []) == []
    assert await log.span(CHAT_EVENTS, 0) == (0, 0)


async def test_read_starts_at_the_offset_asked_for(log_factory: LogFactory) -> None:
    log = await log_factory()
    placed = await log.append(CHAT_EVENTS, numbered(0, 10))
    records = await log.read(CHAT_EVENTS, 0, placed[6][1], wait_ms=10_000)
    assert records[0].offset == placed[6][1]
    assert int(records[0].value) == 6


async def test_read_gives_at_most_max_records(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.append(CHAT_EVENTS, numbered(0, 30))
    records = await log.read(CHAT_EVENTS, 0, 0, max_records=7, wait_ms=10_000)
    assert [int(record.value) for record in records] == list(range(len(records)))
    assert 1 <= len(records) <= 7


async def test_read_gives_at_most_max_bytes(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.append(CHAT_EVENTS, numbered(0, 30, size=10_000))
    records = await log.read(CHAT_EVENTS, 0, 0, max_bytes=55_000, wait_ms=10_000)
    assert 1 <= len(records) <= 5
    assert sum(len(record.key) + len(record.value) for record in records) <= 55_000


async def test_read_gives_one_record_even_if_it_is_over_max_bytes(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.append(CHAT_EVENTS, numbered(0, 3, size=300_000))
    records = await log.read(CHAT_EVENTS, 0, 1, max_bytes=1_000, wait_ms=10_000)
    assert [int(record.value) for record in records] == [1]


async def test_read_at_the_end_gives_nothing_and_does_not_wait_unasked(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.append(CHAT_EVENTS, numbered(0, 1))
    _, following = await log.span(CHAT_EVENTS, 0)
    async with asyncio.timeout(5):
        assert await log.read(CHAT_EVENTS, 0, following) == []


async def test_read_waits_as_long_as_asked_then_gives_nothing(log_factory: LogFactory) -> None:
    log = await log_factory()
    begin_s = time.monotonic()
    assert await log.read(CHAT_EVENTS, 0, 0, wait_ms=300) == []
    assert 0.29 <= time.monotonic() - begin_s < 5


async def test_a_waiting_read_wakes_for_another_clients_append(log_factory: LogFactory) -> None:
    reader, writer = await log_factory(), await log_factory()
    waiting = asyncio.create_task(reader.read(CHAT_EVENTS, 2, 0, wait_ms=60_000))
    # The reader finds the partition empty first; its answer to another question comes after it has asked.
    await reader.read(CHAT_EVENTS, 2, 0, wait_ms=100)
    await writer.append(CHAT_EVENTS, numbered(7, 1, partition=2))
    async with asyncio.timeout(10):
        (record,) = await waiting
    assert int(record.value) == 7


async def test_span_names_the_first_retained_and_the_next_offset(log_factory: LogFactory) -> None:
    log = await log_factory()
    assert await log.span(CHAT_EVENTS, 1) == (0, 0)
    placed = await log.append(CHAT_EVENTS, numbered(0, 5, partition=1))
    assert await log.span(CHAT_EVENTS, 1) == (0, placed[-1][1] + 1)


async def test_below_the_first_retained_offset_read_starts_at_that_one(
    log_factory: LogFactory, storage: Storage
) -> None:
    log = await log_factory()
    placed = await log.append(CHAT_EVENTS, numbered(0, 10))
    await storage.forget(log, CHAT_EVENTS, 0, placed[4][1])
    assert await log.span(CHAT_EVENTS, 0) == (placed[4][1], placed[-1][1] + 1)
    records = await log.read(CHAT_EVENTS, 0, 0, wait_ms=10_000)
    assert [int(record.value) for record in records] == list(range(4, 10))


async def test_committed_is_none_until_something_is_committed(log_factory: LogFactory) -> None:
    log = await log_factory()
    assert await log.committed("group", CHAT_EVENTS, 0) is None


async def test_committed_is_what_was_committed_last_per_group_and_partition(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.append(CHAT_EVENTS, numbered(0, 10))
    await log.commit("one", CHAT_EVENTS, 0, 3)
    await log.commit("one", CHAT_EVENTS, 0, 7)
    await log.commit("two", CHAT_EVENTS, 0, 5)
    await log.close()
    later = await log_factory()
    assert await later.committed("one", CHAT_EVENTS, 0) == 7
    assert await later.committed("two", CHAT_EVENTS, 0) == 5
    assert await later.committed("one", CHAT_EVENTS, 1) is None


async def test_an_unknown_stream_is_refused_by_name(log_factory: LogFactory) -> None:
    log = await log_factory()
    for refused in (
        log.partitions("no.such"),
        log.append("no.such", numbered(0, 1)),
        log.read("no.such", 0, 0),
        log.span("no.such", 0),
        log.commit("group", "no.such", 0, 0),
        log.committed("group", "no.such", 0),
    ):
        with pytest.raises(LogError, match=r"no\.such"):
            await refused


async def test_a_partition_that_is_not_there_is_refused_by_number(log_factory: LogFactory) -> None:
    log = await log_factory(partitions=4)
    for partition in (4, -1):
        for refused in (
            log.append(CHAT_EVENTS, [*numbered(0, 1), *numbered(1, 1, partition=partition)]),
            log.read(CHAT_EVENTS, partition, 0),
            log.span(CHAT_EVENTS, partition),
            log.commit("group", CHAT_EVENTS, partition, 0),
            log.committed("group", CHAT_EVENTS, partition),
        ):
            with pytest.raises(LogError, match=str(partition)):
                await refused
    assert await log.span(CHAT_EVENTS, 0) == (0, 0), "a refused append writes nothing"


async def test_what_cannot_be_is_refused(log_factory: LogFactory) -> None:
    log = await log_factory()
    for refused, named in (
        (log.read(CHAT_EVENTS, 0, -1), "-1"),
        (log.read(CHAT_EVENTS, 0, 0, max_records=0), "0"),
        (log.commit("group", CHAT_EVENTS, 0, -7), "-7"),
        (log.append(CHAT_EVENTS, [*numbered(0, 1), *numbered(1, 1, size=9 << 20)]), "bytes"),
    ):
        with pytest.raises(LogError, match=named):
            await refused
    assert await log.span(CHAT_EVENTS, 0) == (0, 0), "a refused append writes nothing"


async def test_opening_with_another_partition_count_is_refused(log_factory: LogFactory) -> None:
    await log_factory(partitions=4)
    with pytest.raises(LogError, match=rf"{CHAT_EVENTS}.*4.*5") as refused:
        await log_factory(partitions=5)
    assert not isinstance(refused.value, LogAway), "waiting does not mend it"


async def test_opening_where_nothing_listens_is_refused_naming_the_server(storage: Storage) -> None:
    if not storage.has_server:
        pytest.skip("this storage has no server that could be away")
    log, name = storage.unreachable()
    try:
        for _ in range(2):  # it may be called again
            with pytest.raises(LogAway, match=name) as refused:
                await log.open()
            assert "secret" not in str(refused.value)
    finally:
        await log.close()


async def test_close_may_be_called_twice_and_then_the_log_refuses(log_factory: LogFactory) -> None:
    log = await log_factory()
    await log.close()
    await log.close()
    with pytest.raises(LogError):
        await log.append(CHAT_EVENTS, numbered(0, 1))
    with pytest.raises(LogError):
        await log.read(CHAT_EVENTS, 0, 0)
