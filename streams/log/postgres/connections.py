"""Connections to the log's database: opened with their bounds, used for one step, replaced when the server was away.

Every statement of this adapter goes through here. In: a step to run on a connection. Out: its result, or a LogError
that names the server. A step that failed before its commit was sent is run once more on a new connection: it cannot
have been written. One that failed at the commit is not: nobody knows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg

from streams.log.port import LogAway, LogError

CONNECT_TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 3.0
ROLLBACK_TIMEOUT_S: Final = 1.0
RELEASE_TIMEOUT_S: Final = 5.0
TRANSACTION_TIMEOUT_S: Final = 45
"""A process that was stopped in the middle of a COPY keeps its locks no longer than this (Postgres 17 and newer)."""

Result = TypeVar("Result")
Step = Callable[[Any], Awaitable[Result]]

LOST: Final = (
    OSError,  # TimeoutError among them
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.TransactionTimeoutError,
)
"""The connection is gone or of no more use; the server may be back in a moment."""


@dataclass
class Counters:
    """What happened since open; for metrics and tests."""

    appended_records: int = 0
    appended_bytes: int = 0
    commits: int = 0
    waits_for_room: int = 0
    """append calls that found the queue full."""
    retried_steps: int = 0
    notifications: int = 0
    listener_reconnects: int = 0
    empty_polls: int = 0
    """Reads woken by the poll's timer that found nothing."""
    paced_reads: int = 0
    """Reads that waited for more records to gather."""
    fenced: int = 0
    swallowed_errors: int = 0
    """Failures that left nothing undone: growing a segment (tried again), giving leases up at close (they expire)."""
    segments_made: int = 0
    segments_dropped: int = 0
    compacted_records: int = 0
    """Deleted from `control` because a newer record of their key is there."""


def server_name(dsn: str) -> str:
    """Host, port and database of a DSN, for messages: never its password. Raises LogError where it is no address."""
    try:
        parts = urlsplit(dsn)
        port = parts.port or 5432
    except ValueError as error:
        raise LogError(
            "the address of Postgres cannot be used: its host or port is none; write it as "
            "postgresql://user:password@host:port/database, with %2F, %40, %3A for / @ : in the password"
        ) from error
    host = parts.hostname or next(iter(parse_qs(parts.query).get("host", [])), "local socket")
    return f"{host}:{port}{parts.path or '/'}"


class Connections:
    """A pool of at most max_size connections. max_stall_ms: how long a transaction may idle before the server ends
    it, so that a stopped process holds no lock for longer."""

    def __init__(self, dsn: str, counters: Counters, *, max_size: int, max_stall_ms: int) -> None:
        self.server = server_name(dsn)
        self._dsn = dsn
        self._counters = counters
        self._max_size = max_size
        self._settings = {
            "application_name": "twzrd log",
            "jit": "off",
            "default_transaction_isolation": "read committed",  # writers wait for each other at the heads, and go on
            "synchronous_commit": "on",  # durable on return is the port's word, whatever the server is set to
            "idle_in_transaction_session_timeout": str(max_stall_ms),
        }
        self._pool: Any = None

    async def open(self) -> None:
        """Raises LogError when the server cannot be reached."""
        with self.told("connecting"):
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._max_size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=self._settings,
                init=_bound_transactions,
                reset=_leave_clean,
            )

    async def close(self) -> None:
        """Let go of all connections, with force where the server does not answer."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
            except LOST:
                pool.terminate()

    async def connect(self) -> Any:
        """One connection outside the pool, for who keeps it (the listener, migrations)."""
        with self.told("connecting"):
            return await asyncpg.connect(
                self._dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S, server_settings=self._settings
            )

    async def use(self, doing: str, step: Step[Result]) -> Result:
        """Run a step that may be repeated (it reads, or writes the same again)."""
        with self.told(doing):
            try:
                return await self._once(step)
            except LOST:
                _heed_cancel()
                await self._expire()
            return await self._once(step)

    async def transact(self, doing: str, step: Step[tuple[Result, str]]) -> Result:
        """Run a step as one transaction; it gives its result and SQL to send behind the commit, in the same packet.
        Raises LogError; only one that says so may have been written."""
        committing = False

        async def attempt(connection: Any) -> Result:
            nonlocal committing
            await connection.execute("begin")
            try:
                result, afterwards = await step(connection)
                committing = True
                await connection.execute(f"commit; {afterwards}")
            except BaseException:
                if not committing and not connection.is_closed():
                    await connection.execute("rollback", timeout=ROLLBACK_TIMEOUT_S)
                raise
            return result

        with self.told(doing):
            try:
                try:
                    return await self._once(attempt)
                except LOST:
                    _heed_cancel()
                    await self._expire()
                    if committing:
                        raise
                return await self._once(attempt)
            except LOST as error:
                if not committing:
                    raise
                raise LogError(
                    f"{doing}: Postgres at {self.server} was lost while committing ({_text(error)}); all of it or "
                    "nothing was written; read the log to find out before writing it again"
                ) from error

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Turn what the driver raises into LogErrors that name the server; LogAway where it may be back."""
        try:
            yield
        except asyncpg.exceptions.ClientConfigurationError as error:
            raise LogError(
                f"{doing}: the address of Postgres ({self.server}) cannot be used: {_text(error)}; write it as "
                "postgresql://user:password@host:port/database"
            ) from error
        except LOST as error:
            raise LogAway(
                f"{doing}: Postgres at {self.server} cannot be reached ({_text(error)}); start it or mend its address"
            ) from error
        except asyncpg.PostgresError as error:
            raise LogError(f"{doing}: Postgres at {self.server} refused: {_text(error)}") from error

    async def _once(self, step: Step[Result]) -> Result:
        if self._pool is None:
            raise LogError(f"the log on Postgres at {self.server} is closed; open it first")
        pool = self._pool
        connection = await pool.acquire(timeout=COMMAND_TIMEOUT_S)
        try:
            return await step(connection)
        finally:
            # What a cancelled statement leaves behind is waited for, but not as long as a statement may take.
            await pool.release(connection, timeout=RELEASE_TIMEOUT_S)

    async def _expire(self) -> None:
        self._counters.retried_steps += 1
        if self._pool is not None:
            await self._pool.expire_connections()


def _heed_cancel() -> None:
    """A rollback or release that timed out hides the cancellation that it was part of; whoever was told to end ends."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _bound_transactions(connection: Any) -> None:
    if connection.get_server_version().major >= 17:
        await connection.execute(f"set transaction_timeout = '{TRANSACTION_TIMEOUT_S}s'")


async def _leave_clean(connection: Any) -> None:
    # Nothing here changes a session, so asyncpg's own round trip of RESET ALL is spared at each release.
    if connection.is_in_transaction():
        await connection.execute("rollback")
