"""A database with seals that the projections wrote, and the API served on a real socket over it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from claim_api.config import ApiConfig
from claim_api.server import running
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.runner import ProjectionRunner, connector
from projections.sealed import SealedProjection
from schemas.sealed import Closed, Late, SealedEpoch
from tests.hours import PEPPER
from tests.seals import SaidLog

OPERATOR_KEY = "operator-key-of-the-tests"
AUTHORIZED = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.fixture(scope="session")
def pg_template(migrated_template: str) -> str:
    """Each test's database is migrated."""
    return migrated_template


class World:
    """What stands before the API: a log in memory and the projections that bring it into the database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.log = SaidLog(1)
        self.metrics = ProjectionMetrics(CollectorRegistry())

    async def apply(self, *said: SealedEpoch | Late | Closed) -> None:
        """These are said by a worker and applied by the projections."""
        await self.log.say(*said)
        for projection in (SealedProjection(self.metrics), NamesProjection()):
            await ProjectionRunner(self.log, projection, connector(self.dsn), self.metrics).catch_up()


@pytest.fixture
def world(pg_dsn: str) -> World:
    return World(pg_dsn)


class Client:
    """Asks one API over a socket."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self.session = base, session

    async def get(self, path: str, *, status: int = 200, **more: Any) -> Any:
        """JSON of an answer that must have that status."""
        async with self.session.get(self.base + path, **more) as response:
            assert response.status == status, f"{path}: {response.status} {await response.text()}"
            return await response.json()

    async def raw(self, path: str, method: str = "GET", **more: Any) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        async with self.session.request(method, self.base + path, allow_redirects=False, **more) as response:
            return response.status, response.headers, await response.read()

    async def until_sealed(self, epoch_start_s: int, revision: int = 0) -> None:
        """Waits until the API has heard of that seal: when its stream says it, its index knows it."""
        async with self.session.get(self.base + "/v1/stream?after=0") as stream:
            async for line in stream.content:
                wanted = (f'"epoch_start_s":{epoch_start_s},'.encode(), f'"revision":{revision},'.encode())
                if line.startswith(b"data:") and all(one in line for one in wanted):
                    return


Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def serve(pg_dsn: str, tmp_path: Path) -> Serve:
    """Serves an API over the test's database; arguments go before the usual ones."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[Client]:
        more = {name: changes.pop(name) for name in ("lag_records", "parts") if name in changes}
        usual: dict[str, Any] = {
            "dsn": pg_dsn,
            "port": 0,
            "pepper": PEPPER,
            "operator_key": OPERATOR_KEY,
            "fast_hashing": False,
        }
        async with (
            running(ApiConfig(**{**usual, **changes}), **more) as base,
            aiohttp.ClientSession() as session,
        ):
            yield Client(base, session)

    return start


@pytest.fixture
async def api(serve: Serve) -> AsyncIterator[Client]:
    async with serve() as client:
        yield client
