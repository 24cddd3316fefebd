"""A migrated database for each test, a log in memory, and a way to drive projections over both."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from projections import schema
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.runner import Connect, ProjectionRunner, connector
from streams.log.port import Log
from tests.conftest import database_dsn
from tests.seals import SaidLog

CatchUp = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def pg_template(pg_server: str, worker_id: str) -> str:
    """A database with all migrations, cloned for each test."""
    name = f"projections_{worker_id}_{os.getpid()}"

    async def make() -> None:
        admin = await asyncpg.connect(pg_server)
        await admin.execute(f"create database {name}")
        await admin.close()
        connection = await asyncpg.connect(database_dsn(pg_server, name))
        await schema.migrate(connection)
        await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(make())).result()
    return name


@pytest.fixture
async def db(pg_dsn: str) -> AsyncIterator[Any]:
    """A connection to the test's database."""
    connection = await asyncpg.connect(pg_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def log() -> SaidLog:
    return SaidLog()


@pytest.fixture
def metrics() -> ProjectionMetrics:
    return ProjectionMetrics(CollectorRegistry())


@pytest.fixture
def connect(pg_dsn: str) -> Connect:
    return connector(pg_dsn)


@pytest.fixture
def catch_up(log: Log, connect: Connect, metrics: ProjectionMetrics) -> CatchUp:
    """Applies everything that the log holds; each call is a process that starts anew and ends."""

    async def run(projection: Projection) -> None:
        await ProjectionRunner(log, projection, connect, metrics).catch_up()

    return run
