"""The claim side's own connection to Postgres: a pool under the role twzrd_web, which may write what that role may.

In: statements and transactions of the parts. Out: rows, or an ApiError of 503. Unlike claim_api.database it never asks
twice: what writes is not repeated.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg

from claim_api.database_faults import FAULTS
from claim_api.errors import ApiError, database_away
from claim_api.pool_closing import close_pool

logger: Final = logging.getLogger("twzrd.api")


class WebDatabase:
    """A small pool that connects when first asked. Raises ApiError 503 where the database is away or not migrated."""

    def __init__(self, dsn: str, pool_size: int = 8, timeout_s: float = 10.0, *, read_only: bool = False) -> None:
        """read_only: its connections can only read."""
        self._dsn, self._pool_size, self._timeout_s, self._read_only = dsn, pool_size, timeout_s, read_only
        self._pool: Any = None

    async def open(self) -> None:
        """Makes the pool; connects nothing."""
        settings = {"application_name": "twzrd web"}
        # What cannot write leaves nothing behind that a connection must be cleared of: a round trip less each time.
        more: dict[str, Any] = {"reset": _leave} if self._read_only else {}
        if self._read_only:
            settings["default_transaction_read_only"] = "on"
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._pool_size,
            timeout=self._timeout_s,
            command_timeout=self._timeout_s,
            server_settings=settings,
            **more,
        )

    async def close(self) -> None:
        """Ends the connections; transactions under way are rolled back by the server."""
        pool, self._pool = self._pool, None  # a question that comes now is refused
        if pool is not None:
            await close_pool(pool)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection outside a transaction, for one statement."""
        try:
            async with asyncio.timeout(self._timeout_s), self._pool.acquire() as connection:
                yield connection
        except asyncpg.UndefinedTableError as error:
            raise ApiError(
                503, "not_migrated", f"the database lacks a table: {error}", "bring it up to date: twzrd db migrate"
            ) from error
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError):
            raise  # what a statement's rules refuse is its caller's to explain
        except FAULTS as error:
            logger.warning("the database does not answer: %s: %s", type(error).__name__, error)
            raise database_away() from error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside a transaction that commits when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """A connection inside a transaction that only reads, and sees the database as of one moment."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def fetch(self, query: str, *args: object) -> list[Any]:
        async with self.connection() as connection:
            found: list[Any] = await connection.fetch(query, *args)
            return found

    async def fetchrow(self, query: str, *args: object) -> Any:
        async with self.connection() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """The command's tag, such as "DELETE 3"."""
        async with self.connection() as connection:
            tag: str = await connection.execute(query, *args)
            return tag


async def _leave(_connection: Any) -> None:
    """Nothing to clear."""
