"""The sentences of LeasingLog, Lease and Transaction: Postgres only, no other adapter leases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from schemas.streams import CHAT_EVENTS, EPOCH_SEALED
from streams.log.port import Append, Fenced, Lease, LogError
from streams.log.postgres import PostgresLog
from tests.conformance.streams.log.postgres_storage import PostgresStorage

pytestmark = pytest.mark.postgres

LeasingFactory = Callable[..., Awaitable[PostgresLog]]


@pytest.fixture
async def open_log(postgres: PostgresStorage) -> AsyncIterator[LeasingFactory]:
    opened: list[PostgresLog] = []

    async def open_one(lease_ttl_ms: int = 60_000) -> PostgresLog:
        log = postgres.client(lease_ttl_ms=lease_ttl_ms)
        await log.open()
        opened.append(log)
        return log

    yield open_one
    for log in opened:
        await log.close()


def numbers(leases: Sequence[Lease]) -> list[int]:
    return [lease.partition for lease in leases]


async def expire(postgres: PostgresStorage, worker: str) -> None:
    """As if the worker's last heartbeat were long past: by the database's clock, the only one that counts."""
    connection = await postgres.connect()
    for table in ("lease", "member"):
        done = await connection.execute(
            f"update log.{table} set expires_at = clock_timestamp() - interval '1 second' where worker = $1", worker
        )
        assert done != "UPDATE 0"
    await connection.close()


async def write(lease: Lease, value: bytes, position: int) -> None:
    async with lease.transaction() as transaction:
        await transaction.append(EPOCH_SEALED, [Append(lease.partition, b"key", value)])
        await transaction.commit_position(position)


async def test_a_lone_worker_gets_all_partitions(open_log: LeasingFactory) -> None:
    log = await open_log()
    assert numbers(await log.acquire("work", CHAT_EVENTS, "a")) == [0, 1, 2, 3]


async def test_at_most_bounds_a_worker_and_the_rest_goes_to_others(open_log: LeasingFactory) -> None:
    log = await open_log()
    assert len(await log.acquire("work", CHAT_EVENTS, "a", at_most=1)) == 1
    assert len(await log.acquire("work", CHAT_EVENTS, "b")) == 3
    assert len(await log.acquire("work", CHAT_EVENTS, "a", at_most=1)) == 1


async def test_what_is_held_is_kept_as_the_same_lease(open_log: LeasingFactory) -> None:
    log = await open_log()
    first = await log.acquire("work", CHAT_EVENTS, "a")
    again = await log.acquire("work", CHAT_EVENTS, "a")
    assert [id(lease) for lease in first] == [id(lease) for lease in again]


async def test_live_workers_share_fairly_when_one_joins_and_when_it_leaves(open_log: LeasingFactory) -> None:
    logs = {worker: await open_log() for worker in "abc"}

    async def settle(workers: str) -> list[list[int]]:
        held: dict[str, list[int]] = {}
        for _ in range(2):  # the first gives up what is too much, the second takes it
            for worker in workers:
                held[worker] = numbers(await logs[worker].acquire("work", CHAT_EVENTS, worker))
        assert sorted(partition for mine in held.values() for partition in mine) == [0, 1, 2, 3], (
            "each partition has one owner"
        )
        return sorted(held.values(), key=len)

    assert [len(held) for held in await settle("a")] == [4]
    assert [len(held) for held in await settle("ab")] == [2, 2]
    assert [len(held) for held in await settle("abc")] == [1, 1, 2]
    await logs.pop("c").close()
    assert [len(held) for held in await settle("ab")] == [2, 2]


async def test_groups_and_streams_are_shared_out_apart(open_log: LeasingFactory) -> None:
    log = await open_log()
    for group, stream in (("work", CHAT_EVENTS), ("other", CHAT_EVENTS), ("work", EPOCH_SEALED)):
        assert len(await log.acquire(group, stream, "a")) == 4


async def test_a_live_lease_is_not_taken_by_a_newcomer(open_log: LeasingFactory) -> None:
    first, second = await open_log(), await open_log()
    held = await first.acquire("work", CHAT_EVENTS, "a")
    assert await second.acquire("work", CHAT_EVENTS, "b") == []
    await write(held[0], b"still mine", 1)


async def test_position_is_0_until_stored_and_then_what_was_stored(open_log: LeasingFactory) -> None:
    log = await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[2]
    assert await lease.position() == 0
    async with lease.transaction() as transaction:
        await transaction.commit_position(17)
    assert await lease.position() == 17
    assert await log.committed("work", CHAT_EVENTS, 2) == 17


async def test_output_and_position_become_visible_together_at_the_end(open_log: LeasingFactory) -> None:
    log = await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[0]
    async with lease.transaction() as transaction:
        await transaction.append(EPOCH_SEALED, [Append(0, b"k", b"1")])
        await transaction.append(CHAT_EVENTS, [Append(3, b"k", b"2"), Append(None, b"k", b"3")])
        await transaction.append(EPOCH_SEALED, [Append(0, b"k", b"4")])
        await transaction.commit_position(5)
        assert await log.read(EPOCH_SEALED, 0, 0) == []
        assert await lease.position() == 0
    assert [record.value for record in await log.read(EPOCH_SEALED, 0, 0)] == [b"1", b"4"]
    assert (await log.read(CHAT_EVENTS, 3, 0))[0].value == b"2"
    assert await lease.position() == 5


async def test_a_transaction_that_raises_writes_nothing(open_log: LeasingFactory) -> None:
    log = await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[0]
    with pytest.raises(ZeroDivisionError):
        async with lease.transaction() as transaction:
            await transaction.append(EPOCH_SEALED, [Append(0, b"k", b"v")])
            await transaction.commit_position(5)
            raise ZeroDivisionError
    assert await log.read(EPOCH_SEALED, 0, 0) == []
    assert await lease.position() == 0


async def test_a_transaction_refuses_unknown_streams_and_partitions(open_log: LeasingFactory) -> None:
    log = await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[0]
    async with lease.transaction() as transaction:
        with pytest.raises(LogError, match=r"no\.such"):
            await transaction.append("no.such", [Append(0, b"k", b"v")])
        with pytest.raises(LogError, match="9"):
            await transaction.append(EPOCH_SEALED, [Append(9, b"k", b"v")])


async def test_an_owners_output_wakes_readers_elsewhere(open_log: LeasingFactory) -> None:
    log, reader = await open_log(), await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[1]
    waiting = asyncio.create_task(reader.read(EPOCH_SEALED, 1, 0, wait_ms=60_000))
    await reader.read(EPOCH_SEALED, 1, 0, wait_ms=50)
    await write(lease, b"sealed", 1)
    async with asyncio.timeout(10):
        assert [record.value for record in await waiting] == [b"sealed"]


async def test_a_lease_expires_by_the_databases_clock_and_another_worker_takes_over(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    first, second = await open_log(), await open_log()
    held = await first.acquire("work", CHAT_EVENTS, "a")
    await write(held[1], b"before", 3)
    await expire(postgres, "a")
    taken = await second.acquire("work", CHAT_EVENTS, "b")
    assert numbers(taken) == [0, 1, 2, 3]
    assert await taken[1].position() == 3


async def test_a_lease_lives_as_long_as_the_settings_say(open_log: LeasingFactory) -> None:
    first, second = await open_log(lease_ttl_ms=300), await open_log(lease_ttl_ms=300)
    await first.acquire("work", CHAT_EVENTS, "a")
    begin_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        while not await second.acquire("work", CHAT_EVENTS, "b"):
            await second.read(CHAT_EVENTS, 0, 0, wait_ms=20)
    assert asyncio.get_running_loop().time() - begin_s > 0.2


async def test_a_stalled_worker_is_fenced_and_writes_nothing(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    stalled, other = await open_log(), await open_log()
    lease = (await stalled.acquire("work", CHAT_EVENTS, "a"))[0]
    with pytest.raises(Fenced, match="partition 0"):
        async with lease.transaction() as transaction:
            await transaction.append(EPOCH_SEALED, [Append(0, b"k", b"stale")])
            await transaction.commit_position(99)
            await expire(postgres, "a")  # it sleeps here, in the middle of its transaction
            mine = await other.acquire("work", CHAT_EVENTS, "b")
            await write(mine[0], b"fresh", 1)
    assert [record.value for record in await other.read(EPOCH_SEALED, 0, 0)] == [b"fresh"]
    assert await mine[0].position() == 1
    with pytest.raises(Fenced):  # and so is every later one
        await write(lease, b"stale again", 99)
    assert await other.span(EPOCH_SEALED, 0) == (0, 1)
    assert stalled.counters.fenced == 1


async def test_a_worker_held_up_while_it_asks_is_a_member_all_the_same(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    log = await open_log(lease_ttl_ms=100)
    await log.acquire("work", CHAT_EVENTS, "dead")
    await expire(postgres, "dead")
    blocker = await postgres.connect()
    await blocker.execute("begin; select 1 from log.member where worker = 'dead' for update")
    asking = asyncio.create_task(log.acquire("work", CHAT_EVENTS, "held up"))
    async with asyncio.timeout(20):
        while not await blocker.fetchval("select count(*) from pg_locks where not granted"):
            await blocker.execute("select pg_sleep(0.01)")
    await blocker.execute("select pg_sleep(0.3)")  # longer than a member lives
    await blocker.execute("rollback")
    await blocker.close()
    assert numbers(await asking) == [0, 1, 2, 3]


async def test_a_lost_lease_is_not_among_those_held_and_a_new_one_is_another(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    first, second = await open_log(), await open_log()
    lost = await first.acquire("work", CHAT_EVENTS, "a")
    await expire(postgres, "a")
    await second.acquire("work", CHAT_EVENTS, "b")
    assert await first.acquire("work", CHAT_EVENTS, "a") == []
    await second.close()
    again = await first.acquire("work", CHAT_EVENTS, "a")
    assert numbers(again) == [0, 1, 2, 3]
    await write(again[0], b"mine again", 1)
    with pytest.raises(Fenced):
        await write(lost[0], b"by the old lease", 2)
    assert await first.span(EPOCH_SEALED, 0) == (0, 1)


async def test_an_expired_lease_that_nobody_took_is_still_its_owners(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    log = await open_log()
    lease = (await log.acquire("work", CHAT_EVENTS, "a"))[0]
    await expire(postgres, "a")
    await write(lease, b"late but alone", 1)
    assert (await log.acquire("work", CHAT_EVENTS, "a"))[0] is lease


async def test_a_worker_that_comes_again_by_its_name_takes_its_partitions_at_once_and_fences_its_past(
    open_log: LeasingFactory,
) -> None:
    killed, again = await open_log(), await open_log()
    old = await killed.acquire("work", CHAT_EVENTS, "a")
    new = await again.acquire("work", CHAT_EVENTS, "a")
    assert numbers(new) == [0, 1, 2, 3]
    await write(new[0], b"new", 1)
    with pytest.raises(Fenced):
        await write(old[0], b"old", 2)
    assert await again.span(EPOCH_SEALED, 0) == (0, 1)


async def test_a_released_partition_is_free_at_once_and_its_lease_fenced(open_log: LeasingFactory) -> None:
    first, second = await open_log(), await open_log()
    held = await first.acquire("work", CHAT_EVENTS, "a")
    for lease in held:
        await lease.release()
    assert numbers(await second.acquire("work", CHAT_EVENTS, "b")) == [0, 1, 2, 3]
    with pytest.raises(Fenced):
        await write(held[0], b"given up", 1)
    assert await first.span(EPOCH_SEALED, 0) == (0, 0)
    await held[0].release()  # a second time does nothing


async def test_a_process_stopped_inside_a_transaction_does_not_block_a_take_over_for_long(
    open_log: LeasingFactory, postgres: PostgresStorage
) -> None:
    first, second = await open_log(lease_ttl_ms=500), await open_log(lease_ttl_ms=500)
    await first.acquire("work", CHAT_EVENTS, "a")
    # The adapter's own connection settings, with the row lock that a transaction holds, and then silence.
    stopped = await first._connections.connect()
    await stopped.execute("begin; select 1 from log.lease where partition = 0 for share")
    await expire(postgres, "a")
    async with asyncio.timeout(20):  # the driver's own time-out is 60 s
        assert numbers(await second.acquire("work", CHAT_EVENTS, "b")) == [0, 1, 2, 3]
    stopped.terminate()
