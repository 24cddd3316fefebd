"""One database for all histories of a worker, emptied before each; a world of its own for each history."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import database_dsn
from tests.integration.claims.histories.acts import History
from tests.integration.claims.histories.cluster import cluster_of
from tests.integration.claims.histories.setting import Setting, skew
from tests.integration.claims.histories.stage import Stage
from tests.seals import SaidLog

Staged = Callable[[History], AbstractAsyncContextManager[Stage]]
VIEWERS_APART = 100


class Theatre:
    """dsn: of the database; log: what it has projected; each history has viewers of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.log = SaidLog(1)
        self.bases = itertools.count(VIEWERS_APART, VIEWERS_APART)


@pytest.fixture(scope="session")
def theatre(pg_server: str, migrated_template: str, worker_id: str) -> Iterator[Theatre]:
    """The worker's database."""
    name = f"histories_{worker_id}_{os.getpid()}"
    dsn = database_dsn(pg_server, name)

    async def make() -> None:
        connection = await asyncpg.connect(pg_server)
        await connection.execute(f"create database {name} template {migrated_template} strategy file_copy")
        await connection.close()
        await skew(dsn)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(make())).result()
    yield Theatre(dsn)


@pytest.fixture
def staged(theatre: Theatre, tmp_path: Path) -> Staged:
    """Sets the stage for a history."""

    @asynccontextmanager
    async def make(history: History) -> AsyncIterator[Stage]:
        owner = await asyncpg.connect(theatre.dsn)
        base = next(theatre.bases)
        folder = tmp_path / str(base)
        try:
            async with cluster_of(folder / "chain", history.nodes, history.number) as cluster:
                setting = Setting(theatre.dsn, owner, folder, cluster, theatre.log, base)
                await setting.prepare()
                stage = Stage(history, setting)
                try:
                    yield stage
                finally:
                    await stage.close()
        finally:
            await owner.close()

    return make
