"""Migrations run once, in order, whole, and not behind the back of a changed file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streams.log import migrations
from streams.log.migrations import MigrationError
from tests.conformance.streams.log.postgres_storage import PostgresStorage

pytestmark = pytest.mark.postgres

NAME = "house.migration"


@pytest.fixture
async def connection(postgres: PostgresStorage) -> AsyncIterator[Any]:
    connection = await postgres.connect()
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("create table house.one (n int); insert into house.one values (1);")
    (tmp_path / "0002_second.sql").write_text("insert into house.one values (2);")
    return tmp_path


async def numbers(connection: Any) -> list[int]:
    return [row["n"] for row in await connection.fetch("select n from house.one order by n")]


async def test_all_files_run_once_in_order(connection: Any, folder: Path) -> None:
    assert [one.applied_at for one in await migrations.status(connection, folder, NAME)] == [None, None]
    assert await migrations.apply(connection, folder, NAME) == ["0001_first.sql", "0002_second.sql"]
    assert await migrations.apply(connection, folder, NAME) == []
    (folder / "0003_third.sql").write_text("insert into house.one values (3);")
    assert await migrations.apply(connection, folder, NAME) == ["0003_third.sql"]
    assert await numbers(connection) == [1, 2, 3]
    shown = await migrations.status(connection, folder, NAME)
    assert [one.file for one in shown] == ["0001_first.sql", "0002_second.sql", "0003_third.sql"]
    assert all(one.applied_at is not None for one in shown)


async def test_programs_that_start_together_run_each_file_once(postgres: PostgresStorage, folder: Path) -> None:
    connections = [await postgres.connect() for _ in range(4)]
    ran = await asyncio.gather(*(migrations.apply(connection, folder, NAME) for connection in connections))
    assert sorted(len(files) for files in ran) == [0, 0, 0, 2]
    assert await numbers(connections[0]) == [1, 2]
    for connection in connections:
        await connection.close()


async def test_a_changed_file_that_has_run_is_refused_by_name(connection: Any, folder: Path) -> None:
    await migrations.apply(connection, folder, NAME)
    with (folder / "0001_first.sql").open("a") as file:
        file.write("-- harmless?")
    for refused in (migrations.apply(connection, folder, NAME), migrations.status(connection, folder, NAME)):
        with pytest.raises(MigrationError, match=r"0001_first\.sql was changed"):
            await refused
    (folder / "0003_third.sql").write_text("insert into house.one values (3);")
    with pytest.raises(MigrationError):
        await migrations.apply(connection, folder, NAME)
    assert await numbers(connection) == [1, 2], "nothing runs on such a history"


async def test_a_file_that_fails_leaves_nothing_of_itself_and_is_run_again(connection: Any, folder: Path) -> None:
    (folder / "0002_second.sql").write_text("insert into house.one values (2); select 1 / 0;")
    with pytest.raises(MigrationError, match=r"0002_second\.sql.*division by zero"):
        await migrations.apply(connection, folder, NAME)
    assert await numbers(connection) == [1]
    (folder / "0002_second.sql").write_text("insert into house.one values (2);")
    assert await migrations.apply(connection, folder, NAME) == ["0002_second.sql"]


async def test_a_file_and_the_note_that_it_ran_are_one_transaction(connection: Any, folder: Path) -> None:
    # The file spoils its own note, so the note fails after the file has succeeded.
    spoiling = "insert into house.one values (2); insert into house.migration values ('0002_second.sql', 'spoilt');"
    (folder / "0002_second.sql").write_text(spoiling)
    with pytest.raises(MigrationError, match=r"0002_second\.sql"):
        await migrations.apply(connection, folder, NAME)
    assert await numbers(connection) == [1]


async def test_a_database_of_a_newer_program_is_refused(connection: Any, folder: Path) -> None:
    await migrations.apply(connection, folder, NAME)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_second\.sql.*newer"):
        await migrations.apply(connection, folder, NAME)


async def test_a_new_file_numbered_below_an_applied_one_is_refused(connection: Any, folder: Path) -> None:
    await migrations.apply(connection, folder, NAME)
    (folder / "0000_forgotten.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match=r"0000_forgotten\.sql.*next number"):
        await migrations.apply(connection, folder, NAME)


@pytest.mark.parametrize("file", ["second.sql", "0001_again.sql"])
async def test_files_need_a_number_of_their_own(connection: Any, folder: Path, file: str) -> None:
    (folder / file).write_text("select 1;")
    with pytest.raises(MigrationError, match=file):
        await migrations.apply(connection, folder, NAME)


@pytest.mark.parametrize("name", ["migration", "House.migration", "a.b; drop table c"])
async def test_the_table_of_notes_is_named_plainly(connection: Any, folder: Path, name: str) -> None:
    with pytest.raises(MigrationError, match=r"schema\.table"):
        await migrations.apply(connection, folder, name)


async def test_the_logs_own_migrations_fit_the_documented_tables(connection: Any) -> None:
    await migrations.apply(connection, migrations.LOG_DIRECTORY, migrations.LOG_NAME)
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'log' order by 1")
    assert [row["tablename"] for row in tables] == [
        "head", "lease", "member", "migration", "position", "record", "segment", "stream",
    ]  # fmt: skip
