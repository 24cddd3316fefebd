"""Real Faust workers as processes, on the run's broker."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson
import pytest

from streams.log.kafka import KafkaLog, KafkaSettings
from tests.integration.streams.agents.chat import PEPPER

PARTITIONS = 4
SESSION_TIMEOUT_S = 6.0
"""The broker's own lower bound."""
PROJECT = Path(__file__).parents[4]
_WORKER = """
import sys
from pathlib import Path
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.agents.app import run_worker
from streams.agents.settings import Faults, WorkerSettings
from streams.log.kafka import KafkaSettings
servers, prefix, partitions, data_dir, instance, port, session_s, guard, low_water = sys.argv[1:]
run_worker(
    WorkerSettings(
        kafka=KafkaSettings(servers, partitions=int(partitions), prefix=prefix),
        data_dir=Path(data_dir), group_instance_id=instance or None, web_port=int(port),
        session_timeout_s=float(session_s), log_level="INFO",
    ),
    PolicySchedule.of(DEFAULT_POLICY), bytes(range(32)),
    faults=Faults(guard=guard == "True", low_water=low_water == "True"),
)
"""


class Worker:
    """One worker process; its log goes to a file that is shown when a test fails."""

    def __init__(self, arguments: list[str], port: int, log_file: Path, broken_by: str = "") -> None:
        self.port = port
        self.log_file = log_file
        with open(log_file, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", broken_by + _WORKER, *arguments],
                cwd=PROJECT,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    async def get(self, page: str) -> bytes:
        """One of its pages; aiohttp.ClientError while it starts."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{page}") as answer:
            assert answer.status == 200, f"{page}: {answer.status}"
            return await answer.read()

    async def holds(self, partitions: int, timeout_s: float = 90.0) -> None:
        """Return when it has shards of that many partitions."""
        async with asyncio.timeout(timeout_s):
            while True:
                with suppress(aiohttp.ClientError):
                    if len(orjson.loads(await self.get("/lag"))) == partitions:
                        return
                assert self.process.poll() is None, f"{self.log_file.name} has ended"
                await asyncio.sleep(0.1)

    async def logs(self, text: str, timeout_s: float = 60.0) -> None:
        """Return when it has logged that."""
        async with asyncio.timeout(timeout_s):
            while text not in self.log_file.read_text(errors="replace"):
                assert self.process.poll() is None, f"{self.log_file.name} has ended"
                await asyncio.sleep(0.1)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(30)


async def page_when(worker: Worker, page: str, good: Callable[[Any], bool], timeout_s: float = 60.0) -> Any:
    """The page's JSON as soon as it is good; TimeoutError with what it was last."""
    found: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    found = orjson.loads(await worker.get(page))
                    if good(found):
                        return found
                except aiohttp.ClientError:
                    assert worker.process.poll() is None, "the worker has ended"
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise TimeoutError(f"{page} was last {found!r}") from error


class StartWorker(Protocol):
    """Starts a worker. instance: its static membership; None: an ordinary member. broken_by: code that its process runs
    first, for a fault that nothing outside could bring about when a test needs it."""

    def __call__(
        self, *, instance: str | None = None, guard: bool = True, low_water: bool = True, broken_by: str = ""
    ) -> Worker: ...


@pytest.fixture
def settings(kafka_broker: str, kafka_prefix: str) -> KafkaSettings:
    return KafkaSettings(kafka_broker, partitions=PARTITIONS, prefix=kafka_prefix)


@pytest.fixture
async def log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(settings)
    await log.open()
    yield log
    await log.close()


@pytest.fixture
def start_worker(settings: KafkaSettings, worker_starter: Callable[[KafkaSettings], StartWorker]) -> StartWorker:
    return worker_starter(settings)


@pytest.fixture
def worker_starter(tmp_path: Path) -> Iterator[Callable[[KafkaSettings], StartWorker]]:
    """Starters of workers on any broker; all are killed after the test and their logs' ends printed."""
    assert bytes(range(32)) == PEPPER
    started: list[Worker] = []

    def starter(settings: KafkaSettings) -> StartWorker:
        def start(
            *, instance: str | None = None, guard: bool = True, low_water: bool = True, broken_by: str = ""
        ) -> Worker:
            port = free_port()
            name = f"worker{len(started)}"
            arguments = [settings.servers, settings.prefix, str(settings.partitions), str(tmp_path / name)]
            arguments += [instance or "", str(port), str(SESSION_TIMEOUT_S), str(guard), str(low_water)]
            started.append(Worker(arguments, port, tmp_path / f"{name}.log", broken_by))
            return started[-1]

        return start

    yield starter
    for worker in started:
        worker.process.kill()
        worker.process.wait()
        text = worker.log_file.read_text(errors="replace")
        print(f"---- {worker.log_file.name}\n{text[-3000:]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
