"""Postgres as a storage under test: one server for the run of a test process, one database a test."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from streams.log.port import Log
from streams.log.postgres import Bounds, PostgresLog


class PostgresStorage:
    """A database of its own."""

    has_server = True

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def client(self, partitions: int = 4, *, lease_ttl_ms: int = 5_000, bounds: Bounds | None = None) -> PostgresLog:
        return PostgresLog(self.dsn, partitions=partitions, lease_ttl_ms=lease_ttl_ms, bounds=bounds)

    def unreachable(self) -> tuple[Log, str]:
        return PostgresLog("postgresql://nobody:secret@127.0.0.1:1/none"), "127.0.0.1:1/none"

    async def forget(self, log: Log, stream: str, partition: int, before_offset: int) -> None:
        assert isinstance(log, PostgresLog)
        assert await log.trim(stream, partition, before_offset) == before_offset

    async def connect(self) -> Any:
        """A plain connection, to look behind the adapter."""
        return await asyncpg.connect(self.dsn)


@asynccontextmanager
async def fresh(dsn: str) -> AsyncIterator[PostgresStorage]:
    """A new database on the server of this DSN, dropped in the end."""
    name = f"log_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"create database {name}")
        own = dsn.replace("/twzrd?", f"/{name}?")
        assert own != dsn
        yield PostgresStorage(own)
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()
