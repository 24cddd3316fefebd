"""The API's reading connection to Postgres: a small pool that cannot write, with a time limit on every question.

In: statements of projections.read. Out: rows, or an ApiError of 503 that says what the database lacks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from claim_api.config import ApiConfig
from claim_api.counters import Counters
from claim_api.database_faults import FAULTS
from claim_api.errors import ApiError, database_away
from claim_api.pool_closing import close_pool

logger: Final = logging.getLogger("twzrd.api")
SETTINGS: Final = {"application_name": "twzrd api", "default_transaction_read_only": "on"}
STALE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
)
"""What asyncpg raises on a connection that the server has ended."""


class ReadOnlyDatabase:
    """projections.read.Database over a pool that connects when first asked, so that the API starts without one."""

    def __init__(self, config: ApiConfig, counters: Counters) -> None:
        self._config, self._counters = config, counters
        self._pool: Any = None

    async def open(self) -> None:
        """Makes the pool; connects nothing."""
        self._pool = await asyncpg.create_pool(
            self._config.dsn,
            min_size=0,
            max_size=self._config.pool_size,
            timeout=self._config.query_timeout_s,
            command_timeout=self._config.query_timeout_s,
            server_settings=SETTINGS,
        )

    async def close(self) -> None:
        """Ends the connections at once: nothing of ours is worth waiting for."""
        pool, self._pool = self._pool, None  # a question that comes now is refused
        if pool is not None:
            await close_pool(pool)

    async def connect(self) -> Any:
        """A connection of one's own, for LISTEN; the caller ends it."""
        timeout_s = self._config.query_timeout_s
        return await asyncpg.connect(
            self._config.dsn, timeout=timeout_s, command_timeout=timeout_s, server_settings=SETTINGS
        )

    async def fetch(self, query: str, *args: object) -> list[Any]:
        found: list[Any] = await self._ask(lambda connection: connection.fetch(query, *args))
        return found

    async def fetchrow(self, query: str, *args: object) -> Any:
        return await self._ask(lambda connection: connection.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: object) -> Any:
        return await self._ask(lambda connection: connection.fetchval(query, *args))

    async def _ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            # Over the wait for a free connection, too.
            async with asyncio.timeout(self._config.query_timeout_s):
                try:
                    return await self._try(question)
                except STALE:
                    # A pooled connection may have died while it lay idle; questions change nothing, so ask once more.
                    self._counters.events["queries_repeated"] += 1
                    return await self._try(question)
        except asyncpg.UndefinedTableError as error:
            self._counters.events["query_faults"] += 1
            raise ApiError(
                503, "not_migrated", f"the database lacks a table: {error}", "bring it up to date: twzrd db migrate"
            ) from error
        except FAULTS as error:
            self._counters.events["query_faults"] += 1
            logger.warning("the database does not answer: %s: %s", type(error).__name__, error)
            raise database_away() from error

    async def _try(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        if self._pool is None:  # the API stops, and a request was late
            raise database_away()
        self._counters.events["queries"] += 1
        async with self._pool.acquire() as connection:
            return await question(connection)
