"""The log on Postgres for a web process that is not the database's owner: it says a viewer's opt-out and sees how long
the streams are, and can do nothing else there (claim_api/migrations/0006).

In: the DSN of TWZRD_WEB_DATABASE_URL. Out: control records on the log, spans of its streams.
"""

from pathlib import Path
from typing import Final

import asyncpg

from infra import databases
from schemas import control
from schemas.errors import TwzrdError
from streams.log.named_sql import load
from streams.log.port import LogError

SQL: Final = load(Path(__file__).with_suffix(".sql"))


class WebUnfit(TwzrdError):
    """The web process must not start this way."""


class WebLog:
    """Each call has a connection of its own: opt-outs and health checks are rare."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def check_role(self) -> None:
        """Raises WebUnfit where the role may do more than the web should; DatabaseError where the database is away or
        not migrated."""
        async with databases.connected(self._dsn) as connection:
            row = await connection.fetchrow(SQL["whoami"])
        if row["too_much"]:
            raise WebUnfit(
                f"TWZRD_WEB_DATABASE_URL is of role {row['role']}, which may do more than the web should; "
                "give it with user twzrd_web"
            )

    async def say(self, said: control.Record) -> None:
        """Durable on return. Raises LogError; SchemaError for what fits no form."""
        key, record = control.key(said), control.encode(said)
        try:
            async with databases.connected(self._dsn) as connection:
                await connection.execute(SQL["say_opt_out"], key, record)
        except (databases.DatabaseError, asyncpg.PostgresError) as error:
            raise LogError(f"the opt-out cannot be said: {error}") from error

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        """First and next offset; (0, 0) before the log has the stream. Raises LogError."""
        try:
            async with databases.connected(self._dsn) as connection:
                row = await connection.fetchrow(SQL["span"], stream, partition)
        except (databases.DatabaseError, asyncpg.PostgresError) as error:
            raise LogError(f"the span of {stream} cannot be asked: {error}") from error
        return (0, 0) if row is None else (row["first_offset"], row["next_offset"])
