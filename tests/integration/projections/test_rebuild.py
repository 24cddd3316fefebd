"""A rebuild gives the same rows from the same log, takes their place at once, or leaves everything as it was."""

import asyncio
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from projections import read
from projections.errors import AlreadyRunning, ProjectionError, RebuildDiffers
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.port import Projection
from projections.rebuild import rebuild
from projections.rulings import resume
from projections.runner import Connect, ProjectionRunner
from projections.sealed import SealedProjection
from projections.sql import sql
from streams.log.port import EPOCH_SEALED
from tests.integration.projections.conftest import CatchUp
from tests.integration.projections.test_exactly_once import MAKERS, fill, lock_is_free
from tests.seals import CHANNEL, HOUR_S, T0_S, SaidLog, seal_of, viewers


def metrics_of_its_own() -> ProjectionMetrics:
    return ProjectionMetrics(CollectorRegistry())


async def oids(db: Any, projection: Projection) -> list[int]:
    return [await db.fetchval("select $1::regclass::oid::int", table) for table in projection.tables]


@pytest.mark.parametrize("name", MAKERS)
async def test_a_rebuild_gives_the_same_rows_in_new_tables(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, name: str
) -> None:
    await fill(log)
    made = MAKERS[name]()
    await catch_up(made)
    before, tables, alarms = await made.digest(db), await oids(db, made), await read.alarms(db)
    rebuilt = await rebuild(log, MAKERS[name](), connect, metrics_of_its_own())
    assert rebuilt.digests == before == await made.digest(db)
    assert not set(tables) & set(await oids(db, made))
    assert await read.alarms(db) == alarms
    assert await db.fetch("select 1 from pg_namespace where nspname like 'rebuild%'") == []


async def test_views_show_the_new_tables_and_the_runner_goes_on(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(seal_of(viewers(1, 2)))
    await catch_up(SealedProjection(metrics))
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    await log.say(seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    await catch_up(SealedProjection(metrics))
    assert await db.fetchval("select count(*) from channel_participation") == 3
    assert len(await read.allocations(db, "twitch:id:1")) == 2


async def test_a_runner_at_work_waits_for_the_swap_and_loses_nothing(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(*(seal_of(viewers(1, 2), epoch_start_s=T0_S + hour * HOUR_S) for hour in range(20)))
    await catch_up(SealedProjection(metrics))
    running = asyncio.create_task(ProjectionRunner(log, SealedProjection(metrics), connect, metrics).run())
    writing = asyncio.create_task(
        log.say(*(seal_of(viewers(1, 2), epoch_start_s=T0_S + hour * HOUR_S) for hour in range(20, 40)))
    )
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    await writing
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await lock_is_free(db, "sealed")
    await catch_up(SealedProjection(metrics))
    assert len(await read.viewer_epochs(db, "twitch:id:1")) == 40
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())


async def test_a_difference_keeps_the_old_tables_and_says_what_differs(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    made = SealedProjection(metrics)
    await log.say(seal_of(viewers(1, 2)))
    await catch_up(made)
    await db.execute("update viewer_epochs set weight_centi = 77 where viewer_key = 2")
    tables, before = await oids(db, made), await made.digest(db)
    with pytest.raises(RebuildDiffers) as raised:
        await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    text = str(raised.value)
    assert "viewer_epochs" in text and "only before: (2,77," in text and "only rebuilt: (2,101," in text
    assert "policies" not in text
    assert await oids(db, made) == tables and await made.digest(db) == before
    await catch_up(made)


async def test_another_version_refuses_to_run_until_it_was_rebuilt(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp
) -> None:
    class Shouted(NamesProjection):
        version = 2

        async def apply(self, connection: Any, entries: Any) -> None:
            await super().apply(connection, entries)
            await connection.execute("update viewer_logins set login = upper(login) where login <> upper(login)")

    await log.say(seal_of(viewers(1)))
    await catch_up(NamesProjection())
    with pytest.raises(ProjectionError, match="--rebuild names"):
        await catch_up(Shouted())
    await rebuild(log, Shouted(), connect, metrics_of_its_own())
    await catch_up(Shouted())
    assert [one.login for one in await read.viewer_logins(db, "twitch:id:1")] == ["N1"]
    with pytest.raises(ProjectionError, match="version 2"):
        await catch_up(NamesProjection())


async def test_a_log_that_ends_too_early_is_not_taken_for_the_whole(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(seal_of(viewers(1)), seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    await catch_up(SealedProjection(metrics))
    cut = SaidLog()
    await cut.say(seal_of(viewers(1)))
    with pytest.raises(ProjectionError, match="the log ends at offset 1"):
        await rebuild(cut, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    assert len(await read.viewer_epochs(db, "twitch:id:1")) == 2


async def test_nothing_can_be_rebuilt_that_never_ran(connect: Connect, log: SaidLog) -> None:
    with pytest.raises(ProjectionError, match="run it once"):
        await rebuild(log, NamesProjection(), connect, metrics_of_its_own())


async def test_a_rebuild_honours_rulings(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    made = SealedProjection(metrics)
    await log.say(seal_of(viewers(1)), seal_of(viewers(1), salt=1), seal_of(viewers(2), epoch_start_s=T0_S + HOUR_S))
    await catch_up(made)
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    assert len(await read.stopped_channels(db)) == 1
    await resume(db, made, CHANNEL, "the second one was made with a wrong pepper")
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    assert await read.stopped_channels(db) == []
    assert len(await read.epochs(db, CHANNEL)) == 2


async def test_the_roles_that_could_read_the_tables_and_views_still_can(
    db: Any, pg_dsn: str, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(seal_of(viewers(1, 2)))
    await db.execute("grant update (weight_centi) on viewer_epochs to twzrd_payer with grant option")
    made: list[Projection] = [SealedProjection(metrics), NamesProjection()]
    for one in made:
        await catch_up(one)
    before = await rights(db)
    await rebuild(log, SealedProjection(metrics_of_its_own()), connect, metrics_of_its_own())
    await rebuild(log, NamesProjection(), connect, metrics_of_its_own())
    assert await rights(db) == before
    for role in ("web", "payer", "signer"):
        reading = await asyncpg.connect(pg_dsn.replace("://twzrd@", f"://twzrd_{role}@", 1))
        for table in (*made[0].tables, *made[1].tables, "claimable_allocations", "sealed_participants"):
            await reading.fetch(f"select * from {table}")
        await reading.close()


async def rights(db: Any) -> list[Any]:
    """Who may do what with each table and view, and each column."""
    return list(
        await db.fetch(
            "select c.relname, a.attname, array(select one::text from unnest(coalesce(a.attacl, c.relacl)) as one "
            "order by 1) from pg_class c "
            "left join pg_attribute a on a.attrelid = c.oid and a.attacl is not null "
            "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') order by 1, 2"
        )
    )


async def test_a_rebuild_that_was_killed_is_done_again(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp
) -> None:
    """What it leaves behind: its schema, with some of what it had written."""
    await log.say(seal_of(viewers(1, 2)))
    await catch_up(NamesProjection())
    await db.execute(
        "create schema rebuild_names; create table rebuild_names.viewer_logins (like viewer_logins including all);"
        "insert into rebuild_names.viewer_logins values (77, 'left', 0, '2020-01-01')"
    )
    await rebuild(log, NamesProjection(), connect, metrics_of_its_own())
    assert await db.fetchval("select count(*) from viewer_logins") == 2
    assert await db.fetchval("select to_regclass('rebuild_names.viewer_logins')") is None


async def test_two_rebuilds_of_one_projection_do_not_run_at_once(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp
) -> None:
    await log.say(seal_of(viewers(1)))
    await catch_up(NamesProjection())
    await db.fetchval(sql("try_lock"), "rebuild_names")
    with pytest.raises(AlreadyRunning, match="being rebuilt"):
        await rebuild(log, NamesProjection(), connect, metrics_of_its_own())


class Shouts(Projection):
    """A user's own projection, with a table that no migration knows."""

    name, stream, version, tables = "shouts", EPOCH_SEALED, 1, ("shouts",)

    async def create(self, connection: Any) -> None:
        await connection.execute("create table shouts (channel text, epoch_start_s bigint)")

    async def apply(self, connection: Any, entries: Any) -> None:
        for entry in entries:
            header = entry.item.sealed.header
            await connection.execute("insert into shouts values ($1, $2)", header.channel, header.epoch_start_s)


async def test_a_projection_of_ones_own_runs_and_rebuilds_behind_the_same_port(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp
) -> None:
    await log.say(seal_of(viewers(1)), seal_of(viewers(1)))
    await Shouts().create(db)
    await catch_up(Shouts())
    assert await db.fetchval("select count(*) from shouts") == 2
    await rebuild(log, Shouts(), connect, metrics_of_its_own())
    assert await db.fetchval("select count(*) from shouts") == 2
    await Shouts().drop(db)
    assert await db.fetchval("select to_regclass('shouts')") is None
