"""What every test may ask for: the shared data, a database of its own, a Kafka broker, a seed that can be given again.

Servers are real, bound to private sockets or 127.0.0.1, shared by all workers of one run and ended by the last of them.
"""

import asyncio
import fcntl
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest

from infra import databases
from infra.kafka import DevKafka, KafkaUnavailable
from infra.postgres import EmbeddedPostgres, PostgresError

PROJECT = Path(__file__).parent.parent
_NO_KAFKA = "NOT TESTED ON KAFKA: "
NO_INSPIRCD = "NOT TESTED ON INSPIRCD: "
NO_BROWSER = "NOT TESTED IN A BROWSER: "

# The machine is shared and slow at times: only the test's own time-out counts, not Hypothesis' per-example one.
hypothesis.settings.register_profile("twzrd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("twzrd")


# ---- seeds -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before the workers start, so that they inherit it.
    run_seed = os.environ.setdefault("TWZRD_SEED", str(secrets.randbelow(2**31)))
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = run_seed


def pytest_report_header(config: pytest.Config) -> str:
    shown = config.option.hypothesis_seed
    return f"TWZRD_SEED={os.environ['TWZRD_SEED']} (set it to run the same again), hypothesis seed {shown}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """This test's own seed, 63 bits, from TWZRD_SEED and the test's name; printed when the test fails."""
    text = f"{os.environ['TWZRD_SEED']}\0{request.node.nodeid}"
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
    print(f"TWZRD_SEED={os.environ['TWZRD_SEED']} gives this test the seed {value}")
    return value


# ---- files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of test data and vectors beside the project (TWZRD_SHARED puts it elsewhere)."""
    folder = Path(os.environ.get("TWZRD_SHARED") or PROJECT.parent / "shared")
    if not (folder / "vectors").is_dir():
        pytest.fail(f"no test data in {folder}; put the folder `shared` beside the project or name it by TWZRD_SHARED")
    return folder


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """ "gw0" …, or "master" without xdist (whose own fixture of that name this replaces when it is off)."""
    workerinput = getattr(request.config, "workerinput", None)
    return str(workerinput["workerid"]) if workerinput else "master"


# ---- Postgres ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pg_server(run_dir: Path) -> Iterator[str]:
    """DSN of the run's embedded Postgres, not durable; use pg_dsn for a database of the test's own."""
    server = EmbeddedPostgres(run_dir / "pg", durable=False)
    yield server.start()
    server.stop()
    with suppress(PostgresError):  # another worker still uses it and will remove it
        server.destroy()


@pytest.fixture(scope="session")
def pg_template() -> str:
    """Name of the database that pg_dsn clones. A folder's conftest may override it with one that it has migrated."""
    return "template1"


@pytest.fixture(scope="session")
def migrated_template(pg_server: str, worker_id: str) -> str:
    """A database with all migrations, for folders whose tests want each a clone of it."""
    name = f"migrated_{worker_id}_{os.getpid()}"

    async def make() -> None:
        await _execute(pg_server, f"create database {name}")
        await databases.migrate(database_dsn(pg_server, name))

    _in_thread(make)
    return name


@pytest.fixture
def pg_dsn(pg_server: str, pg_template: str, worker_id: str) -> Iterator[str]:
    """DSN of a fresh database, dropped after the test."""
    name = f"t_{worker_id}_{os.getpid()}_{next(_numbers)}"
    _in_thread(lambda: _execute(pg_server, f"create database {name} template {pg_template} strategy file_copy"))
    yield database_dsn(pg_server, name)
    _in_thread(lambda: _execute(pg_server, f"drop database {name} with (force)"))


def database_dsn(server_dsn: str, name: str) -> str:
    """The DSN of another database on the same server."""
    return server_dsn.replace("/twzrd?", f"/{name}?", 1)


_numbers = itertools.count()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _in_thread(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # Not in this thread: asyncio.run would take away the loop that pytest-asyncio holds ready.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(make())).result()


# ---- Kafka -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kafka_broker(run_dir: Path) -> Iterator[str]:
    """Bootstrap address of the run's one broker. Skips loudly without Java, fails if TWZRD_REQUIRE_KAFKA is set."""
    broker = DevKafka(run_dir / "kafka")
    # A shared lock while we use it; whoever can take it alone afterwards is the last.
    with open(run_dir / "kafka-users", "w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield _start_or_skip(broker)
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            broker.stop()


@pytest.fixture
def kafka_prefix(worker_id: str) -> str:
    """A prefix for topics and groups that no other test on the shared broker uses."""
    return f"t-{worker_id}-{os.getpid()}-{next(_numbers)}-"


@pytest.fixture
def kafka_broker_private(tmp_path: Path) -> Iterator[Callable[[], DevKafka]]:
    """Makes started brokers that the test may kill and start again."""
    made: list[DevKafka] = []

    def make() -> DevKafka:
        made.append(DevKafka(tmp_path / f"kafka{len(made)}", heap_mb=384))
        _start_or_skip(made[-1])
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


def _start_or_skip(broker: DevKafka) -> str:
    try:
        return broker.start()
    except KafkaUnavailable as error:
        if os.environ.get("TWZRD_REQUIRE_KAFKA"):
            pytest.fail(f"TWZRD_REQUIRE_KAFKA is set, but: {error}")
        pytest.skip(_NO_KAFKA + str(error))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for mark, title in (
        (_NO_KAFKA, "KAFKA SKIPPED"),
        (NO_INSPIRCD, "INSPIRCD SKIPPED"),
        (NO_BROWSER, "BROWSER SKIPPED"),
    ):
        reasons = [text[text.index(mark) :].rstrip("')") for text in skipped if mark in text]
        if reasons:
            terminalreporter.section(title, sep="!", red=True, bold=True)
            terminalreporter.line(f"{len(reasons)} tests did not run. {reasons[0]}", red=True)
