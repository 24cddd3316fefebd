"""Every adapter of the log port, as fixtures: a test that asks for `storage` or `log_factory` runs once on each."""

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from infra.postgres import EmbeddedPostgres
from streams.log.port import Log, LogError
from tests.conformance.streams.log import postgres_storage
from tests.conformance.streams.log.postgres_storage import PostgresStorage
from tests.conformance.streams.log.storage import Storage

LogFactory = Callable[..., Awaitable[Log]]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a server that this test process shares."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server.start()
    server.destroy()


@pytest.fixture
async def postgres(postgres_server: str) -> AsyncIterator[PostgresStorage]:
    """An empty database, for tests of what only Postgres promises."""
    async with postgres_storage.fresh(postgres_server) as storage:
        yield storage


@pytest.fixture(scope="session")
def kafka_server(kafka_broker: str) -> str:
    """The address of the run's broker."""
    return kafka_broker


@pytest.fixture(scope="session")
def memory_server() -> None:
    """The log in memory needs none."""


@pytest.fixture(
    params=[
        "memory",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("kafka", marks=pytest.mark.kafka),
    ]
)
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty log of each adapter. The adapter's module is imported only for its own tests."""
    name: str = request.param
    module = importlib.import_module(f"tests.conformance.streams.log.{name}_storage")
    server = request.getfixturevalue(f"{name}_server")  # a plain fixture of session scope
    async with module.fresh(server) as fresh:
        yield fresh


@pytest.fixture
async def log_factory(storage: Storage) -> AsyncIterator[LogFactory]:
    """Opens clients of one log: `await log_factory(partitions=4)`. All are closed in the end."""
    opened: list[Log] = []

    async def open_log(partitions: int = 4) -> Log:
        log = storage.client(partitions)
        opened.append(log)
        await log.open()
        return log

    yield open_log
    for log in opened:
        with suppress(LogError):
            await log.close()
