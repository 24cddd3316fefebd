"""The log on Postgres for a web process that is not the database's owner: it says a viewer's opt-out and sees how long
the streams are, and can do nothing else there (claim_api/migrations/0006).

In: the DSN of TWZRD_WEB_DATABASE_URL. Out: control records on the log, spans of its streams.
"""

import time
from pathlib import Path
from typing import Final

import asyncpg

from infra import databases
from schemas import control
from schemas.errors import TwzrdError
from streams.log.named_sql import load
from streams.log.port import LogError

SPANS_KEPT_S: Final = 0.25
"""Who asks for one span asks for all: one question for the health page and not one a partition and projection."""
SQL: Final = load(Path(__file__).with_suffix(".sql"))


class WebUnfit(TwzrdError):
    """The web process must not start this way."""


class WebLog:
    """Each call has a connection of its own: opt-outs and health checks are rare."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._spans: dict[tuple[str, int], tuple[int, int]] = {}
        self._spans_at_s = float("-inf")

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
        """First and next offset, up to SPANS_KEPT_S old; (0, 0) before the log has the stream. Raises LogError."""
        if time.monotonic() - self._spans_at_s > SPANS_KEPT_S:
            try:
                async with databases.connected(self._dsn) as connection:
                    rows = await connection.fetch(SQL["spans"])
            except (databases.DatabaseError, asyncpg.PostgresError) as error:
                raise LogError(f"the spans of the log cannot be asked: {error}") from error
            self._spans = {(row["name"], row["partition"]): (row["first_offset"], row["next_offset"]) for row in rows}
            self._spans_at_s = time.monotonic()
        return self._spans.get((stream, partition), (0, 0))
