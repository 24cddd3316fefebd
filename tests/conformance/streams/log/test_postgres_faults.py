"""A database that is killed, cut off or stopped while the log is written: errors, then work again, nothing doubled."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import asyncpg
import psutil
import pytest

from infra.postgres import EmbeddedPostgres
from schemas.streams import CHAT_EVENTS, EPOCH_SEALED
from streams.log.port import Append, LogError
from streams.log.postgres import Bounds, PostgresLog

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


class KillableServer:
    """A durable server of this module's own, to be killed; `dsn` names an empty database for one test."""

    def __init__(self, server: EmbeddedPostgres, dsn: str) -> None:
        self._server = server
        self.dsn = dsn

    def kill(self) -> None:
        """kill -9, and until its sessions are gone too: they live on for moments after it."""
        pid = self._server.running_pid()
        assert pid is not None
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        processes[0].kill()
        _, alive = psutil.wait_procs(processes[1:], timeout=30)
        assert not alive

    async def restart(self) -> None:
        await asyncio.to_thread(self._server.start)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("killable"))
    yield embedded
    embedded.destroy()


@pytest.fixture
async def server(embedded: EmbeddedPostgres) -> KillableServer:
    dsn = await asyncio.to_thread(embedded.start)
    connection = await asyncpg.connect(dsn)
    name = f"log_{secrets.token_hex(6)}"
    await connection.execute(f"create database {name}")
    await connection.close()
    return KillableServer(embedded, dsn.replace("/twzrd?", f"/{name}?"))


@pytest.fixture
async def log(server: KillableServer) -> AsyncIterator[PostgresLog]:
    log = PostgresLog(server.dsn, partitions=2, bounds=Bounds(poll_ms=60_000))
    await log.open()
    yield log
    await log.close()


async def all_values(log: PostgresLog, stream: str = CHAT_EVENTS) -> list[bytes]:
    values = []
    for partition in range(2):
        first, following = await log.span(stream, partition)
        offsets = []
        while first < following:
            records = await log.read(stream, partition, first)
            values += [record.value for record in records]
            offsets += [record.offset for record in records]
            first = records[-1].offset + 1
        assert offsets == list(range(following)), "gapless"
    return values


async def test_what_was_acknowledged_survives_kill_9_of_the_server_and_no_call_is_doubled_or_torn(
    server: KillableServer, log: PostgresLog
) -> None:
    acknowledged: set[bytes] = set()
    tried: set[bytes] = set()
    errors: list[LogError] = []
    progress = asyncio.Event()
    stop = asyncio.Event()
    there = asyncio.Event()

    async def writer(number: int) -> None:
        call = 0
        while not stop.is_set():
            name = b"%d/%d" % (number, call)
            tried.add(name)
            try:
                await log.append(CHAT_EVENTS, [Append(n % 2, b"k", name) for n in range(5)])
                acknowledged.add(name)
            except LogError as error:
                errors.append(error)
                await there.wait()
            call += 1
            progress.set()

    async def acknowledge_more(calls: int) -> None:
        wanted = len(acknowledged) + calls
        async with asyncio.timeout(60):
            while len(acknowledged) < wanted:
                progress.clear()
                await progress.wait()

    writers = [asyncio.create_task(writer(number)) for number in range(8)]
    for _ in range(3):
        await acknowledge_more(100)
        there.clear()
        await asyncio.to_thread(server.kill)
        await server.restart()
        there.set()
    await acknowledge_more(100)
    stop.set()
    await asyncio.gather(*writers)
    found = Counter(await all_values(log))
    assert set(found.values()) == {5}, "each call is there whole, and once"
    assert acknowledged <= set(found) <= tried
    assert errors, "the writers noticed that the server was gone"
    assert all("Postgres at" in str(error) for error in errors)


async def test_without_a_server_everything_is_refused_and_afterwards_the_same_client_works(
    server: KillableServer, log: PostgresLog
) -> None:
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"before")])
    (lease, *_) = await log.acquire("work", CHAT_EVENTS, "a")
    server.kill()

    async def owner_writes(value: bytes) -> None:
        async with lease.transaction() as transaction:
            await transaction.append(EPOCH_SEALED, [Append(0, b"k", value)])
            await transaction.commit_position(1)

    for refused in (
        log.append(CHAT_EVENTS, [Append(0, b"k", b"lost")]),
        log.read(CHAT_EVENTS, 0, 0),
        log.span(CHAT_EVENTS, 0),
        log.commit("work", CHAT_EVENTS, 1, 1),
        log.acquire("work", CHAT_EVENTS, "a"),
        owner_writes(b"lost"),
    ):
        with pytest.raises(LogError, match="cannot be reached"):
            await refused
    await server.restart()
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"after")])
    await owner_writes(b"after")
    assert await all_values(log) == [b"before", b"after"]
    assert await all_values(log, EPOCH_SEALED) == [b"after"]
    assert await lease.position() == 1


async def test_waiting_readers_are_woken_again_after_the_server_was_away(
    server: KillableServer, log: PostgresLog
) -> None:
    other = PostgresLog(server.dsn, partitions=2)
    server.kill()
    await server.restart()
    async with asyncio.timeout(30):
        while log.counters.listener_reconnects == 0:
            await log.read(CHAT_EVENTS, 0, 0, wait_ms=20)
    await other.open()
    waiting = asyncio.create_task(log.read(CHAT_EVENTS, 0, 0, wait_ms=60_000))
    await log.read(CHAT_EVENTS, 0, 0, wait_ms=50)
    await other.append(CHAT_EVENTS, [Append(0, b"k", b"v")])
    async with asyncio.timeout(10):  # the poll would take 60 s
        assert [record.value for record in await waiting] == [b"v"]
    await other.close()


async def test_an_append_whose_connection_died_before_its_commit_is_written_once_all_the_same(
    server: KillableServer, log: PostgresLog
) -> None:
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"0")])
    killer = await log._connections.connect()
    # A lock keeps the append in the middle of its transaction while its session is ended.
    await killer.execute("begin; lock table log.record_1_0 in share mode")
    appending = asyncio.create_task(log.append(CHAT_EVENTS, [Append(0, b"k", b"1")]))
    async with asyncio.timeout(20):
        while not await killer.fetchval("select count(*) from pg_locks where not granted"):
            await killer.execute("select pg_sleep(0.01)")
    assert await killer.fetchval("select bool_and(pg_terminate_backend(pid)) from pg_locks where not granted")
    await killer.execute("rollback")
    assert await appending == [(0, 1)]
    assert await all_values(log) == [b"0", b"1"]
    assert log.counters.retried_steps == 1
    killer.terminate()


async def test_a_session_lost_at_the_commit_is_not_tried_again(server: KillableServer, log: PostgresLog) -> None:
    saboteur = await log._connections.connect()
    # Runs inside the commit, and ends the session that commits: as seen from the client, nobody knows.
    await saboteur.execute("""
        create function log.fall() returns trigger language plpgsql as
            $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
        create constraint trigger fall after insert on log.record_1_0 deferrable initially deferred
            for each row execute function log.fall()
    """)
    with pytest.raises(LogError, match="lost while committing") as refused:
        await log.append(CHAT_EVENTS, [Append(0, b"k", b"1"), Append(1, b"k", b"2")])
    assert "all of it or nothing" in str(refused.value)
    await saboteur.execute("drop trigger fall on log.record_1_0")
    assert await all_values(log) == []
    assert await log.append(CHAT_EVENTS, [Append(0, b"k", b"3")]) == [(0, 0)]
    saboteur.terminate()


async def test_close_without_a_server_ends(server: KillableServer, log: PostgresLog) -> None:
    await log.acquire("work", CHAT_EVENTS, "a")
    server.kill()
    async with asyncio.timeout(20):
        await log.close()
