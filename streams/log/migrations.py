"""Numbered migrations: a folder of NNNN_name.sql files in, an up-to-date database schema out.

Before anything else of a house touches its tables. Each file runs once, in its own transaction, together with the note
that it ran; an advisory lock keeps programs that start together from running it twice. Used by streams.log.postgres
and by the projections, each with its own folder and its own table of notes.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from schemas.errors import TwzrdError

LOG_DIRECTORY: Final = Path(__file__).with_name("migrations")
LOG_NAME: Final = "log.migration"
"""The log's own files and its table of notes."""

_FILE: Final = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")
_TABLE: Final = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


class MigrationError(TwzrdError):
    """The files and what the database says of them do not fit together; nothing was changed by the refused file."""


@dataclass(frozen=True)
class Migration:
    """One file as `status` shows it; applied_at is None where it has not run yet."""

    file: str
    sha256: str
    applied_at: datetime | None


async def apply(connection: Any, directory: Path, name: str) -> list[str]:
    """Run what has not run yet, in order of number; returns the names of the files run now.

    connection: an asyncpg connection outside a transaction. name: `schema.table` of the notes; the schema is made if
    need be. Raises MigrationError for an applied file that was changed or is missing, for a new file numbered below
    an applied one, and for a file that fails (rolled back; the files before it stay).
    """
    schema, table = _schema_and_table(name)
    files = _read(directory)
    await connection.execute("select pg_advisory_lock(hashtextextended($1, 0))", f"twzrd migrations {name}")
    try:
        await connection.execute(f"create schema if not exists {schema}")
        await connection.execute(
            f"create table if not exists {schema}.{table} "
            "(file text primary key, sha256 text not null, applied_at timestamptz not null default clock_timestamp())"
        )
        pending = [one for one in await _compare(connection, directory, files, name) if one.applied_at is None]
        for migration in pending:
            await _run(connection, directory / migration.file, files[migration.file], migration, name)
        return [migration.file for migration in pending]
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock(hashtextextended($1, 0))", f"twzrd migrations {name}")


async def status(connection: Any, directory: Path, name: str) -> list[Migration]:
    """All files in order, with when they ran. Changes nothing; raises MigrationError as `apply` does."""
    _schema_and_table(name)
    return await _compare(connection, directory, _read(directory), name)


def _schema_and_table(name: str) -> tuple[str, str]:
    match = _TABLE.fullmatch(name)
    if match is None:
        raise MigrationError(f"{name!r} is no name for a table of migrations; write it as schema.table in lowercase")
    return match[1], match[2]


def _read(directory: Path) -> dict[str, str]:
    """The files' texts by name, in order of number."""
    files: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationError(
                f"{path} is not named NNNN_name.sql; rename it so that its place in the order is clear"
            )
        if match[1] in numbers:
            raise MigrationError(f"{path} and {numbers[match[1]]} bear the same number; give the newer one the next")
        numbers[match[1]] = path.name
        files[path.name] = path.read_text(encoding="utf-8")
    if not files:
        raise MigrationError(f"{directory} has no NNNN_name.sql files; is the installation whole?")
    return files


async def _compare(connection: Any, directory: Path, files: dict[str, str], name: str) -> list[Migration]:
    """What has run and what has not; refuses a history that does not fit the files."""
    applied: dict[str, Any] = {}
    if await connection.fetchval("select to_regclass($1) is not null", name):
        rows = await connection.fetch(f"select file, sha256, applied_at from {name} order by file")
        applied = {row["file"]: row for row in rows}
    for file in applied:
        if file not in files:
            raise MigrationError(
                f"the database has migration {file} (in {name}), which {directory} lacks: it was set up by a newer "
                "program; update this one"
            )
    found = []
    for file, text in files.items():
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        row = applied.get(file)
        if row is not None and row["sha256"] != sha256:
            raise MigrationError(
                f"migration {directory / file} was changed after it ran (sha256 {sha256[:16]}…, "
                f"{name} says {row['sha256'][:16]}…); restore the file and put the change into a new one"
            )
        if row is None and applied and file < max(applied):
            raise MigrationError(
                f"migration {directory / file} is new but numbered below {max(applied)}, which has run already; "
                "give it the next number"
            )
        found.append(Migration(file, sha256, row["applied_at"] if row is not None else None))
    return found


async def _run(connection: Any, path: Path, text: str, migration: Migration, name: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(text)
            await connection.execute(
                f"insert into {name} (file, sha256) values ($1, $2)", migration.file, migration.sha256
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"migration {path} failed and was rolled back: {error}; mend the file or the database"
        ) from error
