"""Position and effect are one step: a connection lost at any statement leaves both or neither; nothing is doubled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from projections import read
from projections.errors import AlreadyRunning, PositionMoved
from projections.live import LiveProjection
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.port import Projection
from projections.runner import Connect, ProjectionRunner
from projections.sealed import SealedProjection
from projections.sql import sql
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Late
from schemas.streams import CHAT_EVENTS, EPOCH_SEALED
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, SaidLog, live_envelope, seal_of, viewers

METRICS = ProjectionMetrics(CollectorRegistry())
MAKERS: dict[str, Callable[[], Projection]] = {
    "sealed": lambda: SealedProjection(METRICS),
    "names": NamesProjection,
    "live": lambda: LiveProjection(PolicySchedule.of(DEFAULT_POLICY), METRICS),
}
STATEMENTS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_to_table")


class Lost(ConnectionError):
    """The connection went at a statement that the test chose."""


class Breaking:
    """A connection whose socket is cut at its nth statement (commit is one): before the server gets it, or after it
    has answered."""

    def __init__(self, connection: Any, at: int, after: bool) -> None:
        self._connection, self._left, self._after = connection, at, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name == "transaction":
            return lambda: self._step(found())
        if name not in STATEMENTS:
            return found

        async def call(*args: Any, **named: Any) -> Any:
            self._count(before=True)
            result = await found(*args, **named)
            self._count(before=False)
            return result

        return call

    def _count(self, *, before: bool) -> None:
        self._left -= before
        if self._left == 0 and before != self._after:
            self._connection.terminate()
            raise Lost

    @contextlib.asynccontextmanager
    async def _step(self, transaction: Any) -> AsyncIterator[None]:
        async with transaction:
            yield
            self._count(before=True)
        self._count(before=False)


async def fill(log: SaidLog) -> None:
    """Something of everything: revisions, late notices, a conflict, logins, live chat."""
    await log.say(
        seal_of(viewers(1, 2, 3), messages=[1, 5, 10]),
        Late(1, CHANNEL, LOGIN, T0_S, 40, 3),
        seal_of(["twitch:id:1", "twitch:login:x"], messages=[4, 5], revision=1, closed_by="reseal"),
        seal_of(viewers(8), channel="twitch:id:300"),
        seal_of(viewers(9), channel="twitch:id:300"),
        seal_of(viewers(9), channel="twitch:id:300", epoch_start_s=T0_S + HOUR_S),
    )
    await log.say(seal_of(viewers(1, 5), channel="twitch:id:200"), partition=1)
    for seq in range(3):
        await log.chat(live_envelope([(7, "ann"), (8 + seq, "bob")], seq=seq, at_s=T0_S + seq * HOUR_S))


async def whole(db: Any, projection: Projection) -> tuple[object, ...]:
    """Tables, positions and alarms."""
    return (
        await projection.digest(db),
        await read.positions(db),
        [(alarm.kind, alarm.subject) for alarm in sorted(await read.alarms(db), key=lambda alarm: alarm.subject)],
    )


async def lock_is_free(db: Any, name: str) -> None:
    """Return when the server has noticed that the projection's session is gone."""
    await db.fetchval("select pg_advisory_lock(hashtextextended('twzrd projection ' || $1, 0))", name)
    await db.fetchval(sql("unlock"), name)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_connection_lost_at_any_statement_leaves_position_with_effect(
    db: Any, log: SaidLog, connect: Connect, metrics: ProjectionMetrics, name: str, after: bool
) -> None:
    await fill(log)
    # Gives every seal and viewer its number for good: a sequence does not take back what a lost step drew from it.
    await ProjectionRunner(log, MAKERS[name](), connect, metrics).catch_up()
    expected = await whole(db, MAKERS[name]())
    empty, at = None, 0
    while True:
        at += 1
        made = MAKERS[name]()

        async def breaking(at: int = at) -> Any:
            return Breaking(await connect(), at, after)

        await db.execute("truncate projection_positions, alarms")
        await db.execute(f"truncate {', '.join(made.tables)}")
        empty = empty or dict(await made.digest(db))
        try:
            await ProjectionRunner(log, made, breaking, metrics).catch_up()
        except (Lost, asyncpg.InterfaceError):
            await lock_is_free(db, name)
            applied = sum(one.next_offset for one in await read.positions(db))
            effect = dict(await made.digest(db)) != empty
            assert effect == (applied > 0), f"cut at statement {at}: offsets {applied}, effect {effect}"
            await ProjectionRunner(log, MAKERS[name](), connect, metrics).catch_up()
            assert await whole(db, made) == expected, f"cut at statement {at}"
            continue
        break
    assert await whole(db, made) == expected
    assert at > 4


@pytest.mark.parametrize("name", MAKERS)
async def test_rows_do_not_depend_on_batches_or_restarts(
    db: Any, log: SaidLog, connect: Connect, metrics: ProjectionMetrics, name: str
) -> None:
    await fill(log)
    await ProjectionRunner(log, MAKERS[name](), connect, metrics).catch_up()
    at_once = await MAKERS[name]().digest(db)
    await db.execute("truncate projection_positions, alarms")
    await db.execute(f"truncate {', '.join(MAKERS[name]().tables)}")
    piecemeal = SaidLog()
    for stream, partition in [(CHAT_EVENTS, 0), (CHAT_EVENTS, 1), (EPOCH_SEALED, 0), (EPOCH_SEALED, 1)]:
        for record in log.records(stream, partition):
            piecemeal.put(stream, partition, record)
            await ProjectionRunner(piecemeal, made := MAKERS[name](), connect, metrics).catch_up()
    assert await made.digest(db) == at_once


async def test_a_second_process_stands_by_and_applies_nothing(
    db: Any, log: SaidLog, connect: Connect, metrics: ProjectionMetrics
) -> None:
    async with heard(db) as seals:
        first = asyncio.create_task(ProjectionRunner(log, SealedProjection(metrics), connect, metrics).run())
        await log.say(seal_of(viewers(1)))
        assert await seals.get() == 1
    with pytest.raises(AlreadyRunning, match="sealed"):
        await ProjectionRunner(log, SealedProjection(metrics), connect, metrics).catch_up()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_position_moved_by_somebody_else_is_found_out(
    db: Any, log: SaidLog, connect: Connect, metrics: ProjectionMetrics
) -> None:
    class Moving(SealedProjection):
        async def apply(self, connection: Any, entries: Any) -> None:
            raise AssertionError("must not be reached")

    await log.say(seal_of(viewers(1)))

    async def connect_and_move() -> Any:
        connection = await connect()

        class Moved:
            def __getattr__(self, name: str) -> Any:
                if name == "transaction":
                    # Between reading the position and the step, as a process without the lock would do.
                    return lambda: _AfterMove(db, connection)
                return getattr(connection, name)

        return Moved()

    with pytest.raises(PositionMoved, match="starts again"):
        await ProjectionRunner(log, Moving(metrics), connect_and_move, metrics).catch_up()


class _AfterMove:
    def __init__(self, db: Any, connection: Any) -> None:
        self._db, self._transaction = db, connection.transaction()

    async def __aenter__(self) -> None:
        await self._db.execute("update projection_positions set next_offset = next_offset + 1")
        await self._transaction.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        await self._transaction.__aexit__(*error)


async def test_a_runner_wakes_on_new_records_and_outlives_a_lost_database_session(
    db: Any, log: SaidLog, connect: Connect, metrics: ProjectionMetrics
) -> None:
    async with heard(db) as seals:
        running = asyncio.create_task(ProjectionRunner(log, SealedProjection(metrics), connect, metrics).run())
        await log.say(seal_of(viewers(1)))
        assert await seals.get() == 1
        killed = await db.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'twzrd projection' and datname = current_database()"
        )
        assert len(killed) == 1
        await log.say(seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
        assert await seals.get() == 2
    assert metrics.retries.labels("sealed")._value.get() >= 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def heard(db: Any) -> AsyncIterator[asyncio.Queue[int]]:
    """The seal ids that come with applied seals."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    def hear(connection: Any, pid: int, channel: str, payload: str) -> None:
        queue.put_nowait(int(payload))

    await db.add_listener(read.SEALS_NOTIFY, hear)
    yield queue
    await db.remove_listener(read.SEALS_NOTIFY, hear)
