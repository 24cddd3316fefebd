"""A migrated database for each test, a log in memory, and a way to drive projections over both."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.runner import Connect, ProjectionRunner, connector
from streams.log.port import Log
from tests.seals import SaidLog

CatchUp = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def pg_template(migrated_template: str) -> str:
    """Each test's database is migrated."""
    return migrated_template


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
