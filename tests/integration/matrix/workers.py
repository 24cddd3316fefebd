"""Real worker processes, started through the command line as a person does: `twzrd --home DIR work`.

Composition and settings are thereby tested as well. A worker that ends by itself is a failure, unless the server was
away while it started: then it is started again, as `twzrd up` would.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration.matrix.servers import Server

END_S: Final = 40.0
PROJECT: Final = Path(__file__).parents[3]
START_S: Final = 20.0
"""A younger process may still be starting: it may give up if the server is away, or end at once by SIGTERM."""
TWZRD: Final = (sys.executable, "-m", "infra.cli")


@dataclass(frozen=True, slots=True)
class Entry:
    """How a worker is started: by the command line, or by the module that breaks it on purpose."""

    command: tuple[str, ...] = TWZRD
    arguments: tuple[str, ...] = ("work", "--web-port", "0")


class Workers:
    """The workers of one way, by name."""

    def __init__(self, folder: Path, environment: Mapping[str, str], server: Server, entry: Entry) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
        self._environment = {**inherited, "PYTHONPATH": str(PROJECT), **environment}
        self._home = folder / "home"
        self._log_file = folder / "workers.log"
        self._server = server
        self._entry = entry
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started_s: dict[str, float] = {}
        self._known: dict[str, bool] = {}
        self._paused: set[str] = set()
        self.kills = 0
        self.restarts = 0

    def start(self, name: str, *, known: bool = True) -> None:
        """known: it bears a name that outlives the process (on Kafka: a static member)."""
        instance = ("--instance", name) if known else ()
        with self._log_file.open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self._entry.command, "--home", str(self._home), *self._entry.arguments, *instance],
                cwd=PROJECT,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self._started_s[name], self._known[name] = time.monotonic(), known

    def names(self) -> list[str]:
        """Those that run and are not stopped by SIGSTOP."""
        return sorted(self._running.keys() - self._paused)

    def kill(self, name: str) -> None:
        """kill -9, whatever it was doing."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self.kills += 1

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._paused.add(name)
        self._running[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self._paused.discard(name)
        self._running[name].send_signal(signal.SIGCONT)

    async def end_well(self, names: Sequence[str]) -> list[int]:
        """SIGTERM, wait; the exit codes of those that had started. Raises subprocess.TimeoutExpired."""
        processes = [(self._running.pop(name), self._is_young(name)) for name in names]
        for process, _ in processes:
            process.terminate()
        codes = [await asyncio.to_thread(process.wait, END_S) for process, _ in processes]
        return [code for code, (_, young) in zip(codes, processes, strict=True) if not young]

    def _is_young(self, name: str) -> bool:
        return time.monotonic() < self._started_s[name] + START_S

    def look_after(self) -> None:
        """Start again what could not start because the server was away; anything else that ended is a failure."""
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            started_s = self._started_s[name]
            assert self._server.was_away(started_s, started_s + START_S), (
                f"worker {name} ended by itself with code {process.returncode}:\n{self.log_tail()}"
            )
            self.restarts += 1
            self.start(name, known=self._known[name])

    def log_tail(self, characters: int = 4000) -> str:
        """What they said last."""
        return self._log_file.read_text(errors="replace")[-characters:] if self._log_file.exists() else ""

    def end(self) -> None:
        """Nothing is left behind."""
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()
