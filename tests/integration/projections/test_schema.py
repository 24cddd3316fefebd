"""All migrations together are the documented schema, also after a rebuild has put new tables in the old ones' place."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from projections import schema
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.rebuild import rebuild
from projections.runner import Connect
from projections.sealed import SealedProjection
from tests.conftest import database_dsn
from tests.integration.projections.conftest import CatchUp
from tests.seals import SaidLog, seal_of, viewers

DOCUMENTED = Path(__file__).parents[3] / "docs" / "schema.sql"

CATALOG = """
select 'relation', c.relname, c.relkind::text, coalesce(array_to_string(c.reloptions, ','), ''), c.relpersistence::text
  from pg_class c where c.relnamespace = 'public'::regnamespace
union all
select 'column', c.relname || '.' || lpad(a.attnum::text, 3, '0'),
       a.attname || ' ' || format_type(a.atttypid, a.atttypmod),
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text || a.attnotnull::text,
       a.attstorage::text || a.attcollation::text
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid and c.relnamespace = 'public'::regnamespace
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attnum > 0 and not a.attisdropped
union all
select 'constraint', c.conname, c.conrelid::regclass::text, pg_get_constraintdef(c.oid), ''
  from pg_constraint c where c.connamespace = 'public'::regnamespace
union all
select 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), '', ''
  from pg_index i join pg_class c on c.oid = i.indexrelid and c.relnamespace = 'public'::regnamespace
union all
select 'view', c.relname, pg_get_viewdef(c.oid), '', ''
  from pg_class c where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace
union all
select 'sequence', s.sequencename, s.start_value::text, s.increment_by::text, s.min_value || ' ' || s.max_value
  from pg_sequences s where s.schemaname = 'public'
order by 1, 2
"""


async def catalog(connection: Any) -> list[tuple[str, ...]]:
    """Everything about the schema `public`, but for the note of which migrations ran."""
    rows = await connection.fetch(CATALOG)
    return [tuple(row) for row in rows if not any("projection_migration" in str(value) for value in row)]


@pytest.fixture
async def documented(pg_server: str, pg_dsn: str) -> list[tuple[str, ...]]:
    """The catalog that docs/schema.sql alone makes."""
    name = pg_dsn.split("?")[0].rpartition("/")[2] + "_documented"
    admin = await asyncpg.connect(pg_server)
    await admin.execute(f"create database {name}")
    connection = await asyncpg.connect(database_dsn(pg_server, name))
    await connection.execute(DOCUMENTED.read_text("utf-8"))
    found = await catalog(connection)
    await connection.close()
    await admin.execute(f"drop database {name}")
    await admin.close()
    return found


async def test_all_migrations_together_equal_the_documented_schema(db: Any, documented: list[tuple[str, ...]]) -> None:
    assert await catalog(db) == documented
    assert len(documented) > 100


async def test_a_second_migration_finds_nothing_to_do(db: Any) -> None:
    assert await schema.migrate(db) == []
    assert all(one.applied_at is not None for one in await schema.status(db))


async def test_a_rebuild_leaves_the_documented_schema(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, documented: list[tuple[str, ...]]
) -> None:
    await log.say(seal_of(viewers(1, 2)))
    metrics = ProjectionMetrics(CollectorRegistry())
    for make in (lambda: SealedProjection(metrics), NamesProjection):
        await catch_up(make())
        await rebuild(log, make(), connect, metrics)
    assert await catalog(db) == documented
