"""Worker processes of the runner, and waiting until they have done their work."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.streams import CHAT_EVENTS
from streams.log.port import Append, Log
from tests.generators import Record
from tests.integration.streams.runner.expected import PEPPER, Said, expected, found

PROJECT = Path(__file__).parents[4]


class Workers:
    """Starts, stops and kills `python -m streams.runner` processes; all are ended with the test."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self._pepper = folder / "pepper"
        self._pepper.write_bytes(PEPPER)
        self._errors = folder / "workers.log"
        self._arguments = list(arguments)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    def start(self, name: str) -> None:
        """A new process of that name."""
        with self._errors.open("ab") as errors:
            self.running[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "streams.runner", *self._arguments),
                    *("--worker", name, "--pepper-file", str(self._pepper)),
                ],
                cwd=PROJECT,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )

    def kill(self, name: str) -> None:
        """kill -9, whatever it was doing."""
        process = self.running.pop(name)
        assert process.poll() is None, f"worker {name} ended by itself: {self.errors()[-3000:]}"
        process.kill()
        process.wait()
        self.kills += 1

    def signal(self, name: str, number: signal.Signals) -> None:
        """Any other signal."""
        self.running[name].send_signal(number)

    def stop(self, name: str) -> int:
        """SIGTERM, and its exit code."""
        process = self.running.pop(name)
        process.terminate()
        return process.wait(30)

    async def logs(self, name: str, text: str, within_s: float = 60.0) -> None:
        """Return when one of them has logged that; the one of that name must live."""
        async with asyncio.timeout(within_s):
            while text not in self.errors():
                assert self.running[name].poll() is None, f"worker {name} ended by itself: {self.errors()[-3000:]}"
                await asyncio.sleep(0.1)

    def errors(self) -> str:
        """What all of them logged."""
        return self._errors.read_text()

    def end(self) -> None:
        """Nothing is left behind."""
        for process in self.running.values():
            process.kill()
            process.wait()


async def load(log: Log, records: Sequence[Record], at_once: int = 50) -> None:
    """Append in order."""
    for start in range(0, len(records), at_once):
        await log.append(CHAT_EVENTS, [Append(None, key, value) for key, value in records[start : start + at_once]])


async def load_slowly(log: Log, records: Sequence[Record], rng: random.Random, over_s: float) -> None:
    """Append in uneven pieces spread over that time, so that workers fold while records still arrive."""
    start = 0
    while start < len(records):
        count = rng.randint(1, 40)
        await load(log, records[start : start + count])
        start += count
        await asyncio.sleep(over_s * count / len(records))


async def settled(log: Log, within_s: float = 60.0) -> tuple[Said, Said]:
    """(expected, found) as soon as every seal and notice expected is there, or when the time is up."""
    wanted = await expected(log)
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        said = await found(log)
        if said.once() == wanted.once() or loop.time() > until:
            return wanted, said
        await asyncio.sleep(0.2)
