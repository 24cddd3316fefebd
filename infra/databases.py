"""The database of the read models, for commands: migrations and a short look."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import msgspec

from claim_api import schema as claims_schema
from projections import read, rows, schema
from schemas.errors import TwzrdError
from streams.log import migrations


class DatabaseError(TwzrdError):
    """The database cannot be reached, or does not hold what is asked for."""


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    """A connection; DatabaseError where the server cannot be reached, goes away, or lacks a table."""
    try:
        connection = await asyncpg.connect(dsn, timeout=30)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(
            f"the database cannot be reached: {error}; check TWZRD_DATABASE_URL, or the URL of its role"
        ) from error
    except ValueError:
        # What it says may show the URL, and so the password.
        raise DatabaseError(
            "the database's URL cannot be read; check TWZRD_DATABASE_URL, or that of its role"
        ) from None
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise DatabaseError(f"the database lacks a table: {error}; bring it up to date: twzrd db migrate") from error
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"the database went away: {error}; is it up?") from error
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[Any]:
    """As `connected`, for commands that do nothing else with it: DatabaseError also where the system says that the
    connection is lost."""
    try:
        async with connected(dsn) as connection:
            yield connection
    except OSError as error:
        raise DatabaseError(f"the database was lost: {error}; try again") from error


def role_dsn(dsn: str, role: str) -> str:
    """The owner's DSN with another user and no password."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role)}@{host}"))


async def migrate(dsn: str) -> list[str]:
    """Run every migration that has not run: the log's, the projections', the claims'. Returns the files run."""
    async with connected(dsn) as connection:
        ran = await migrations.apply(connection, migrations.LOG_DIRECTORY, migrations.LOG_NAME)
        ran += await schema.migrate(connection)
        return ran + await claims_schema.migrate(connection)


async def status(dsn: str) -> list[dict[str, object]]:
    """All migrations with when they ran."""
    async with connected(dsn) as connection:
        rows = [
            ("log", one) for one in await migrations.status(connection, migrations.LOG_DIRECTORY, migrations.LOG_NAME)
        ]
        rows += [("projections", one) for one in await schema.status(connection)]
        rows += [("claims", one) for one in await claims_schema.status(connection)]
    return [{"house": house, **_migration(one)} for house, one in rows]


def _migration(one: migrations.Migration) -> dict[str, object]:
    return {"file": one.file, "applied": one.applied_at.isoformat() if one.applied_at else "not yet"}


async def channel_identity(dsn: str, login: str) -> str:
    """The identity of a channel known by login. Raises DatabaseError where none was sealed."""
    async with reading(dsn) as connection:
        identity = await read.resolve_channel(connection, login)
    if identity is None:
        raise DatabaseError(f"channel {login!r} was never sealed; give its identity, like twitch:id:12345")
    return identity


def _stopped(one: rows.StoppedChannel) -> dict[str, object]:
    hashes = {"known_seal_hash": one.known_seal_hash.hex(), "met_seal_hash": one.met_seal_hash.hex()}
    return {**msgspec.structs.asdict(one), **hashes}


async def overall(dsn: str) -> dict[str, Any]:
    """Positions, newest seal, stopped channels, alarms."""
    async with reading(dsn) as connection:
        newest = await read.newest_epoch(connection)
        return {
            "newest_epoch_start_s": newest.epoch_start_s if newest else None,
            "positions": msgspec.to_builtins(await read.positions(connection)),
            "stopped_channels": [_stopped(one) for one in await read.stopped_channels(connection)],
            "alarms": msgspec.to_builtins(await read.alarms(connection, limit=10)),
        }
