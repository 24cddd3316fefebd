"""Contenders as fresh processes, in turns, timed whole: wall clock, processor time, peak memory."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import TwzrdError

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = sys.executable
TIMEOUT_S: Final = 600.0
MEMORY_EVERY_S: Final = 0.05


class ContenderFailed(TwzrdError):
    """A contender ended with an error, took too long, or came to another result."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one process and its children. peak_bytes: proportional set size of them all, sampled; 0 where it was
    not asked for."""

    wall_s: float
    cpu_s: float
    output: str
    peak_bytes: int = 0

    def value(self, name: str) -> float:
        """The number in `name=<number>` of the output. Raises ContenderFailed where there is none."""
        found = re.search(rf"\b{re.escape(name)}=([0-9.eE+-]+)", self.output)
        if found is None:
            raise ContenderFailed(f"no {name}= in the output: {self.output[-300:]!r}")
        return float(found.group(1))

    def text(self, name: str) -> str:
        """The word in `name=<word>`."""
        found = re.search(rf"\b{re.escape(name)}=(\S+)", self.output)
        if found is None:
            raise ContenderFailed(f"no {name}= in the output: {self.output[-300:]!r}")
        return found.group(1)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    memory: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Ran:
    """One process to its end. Raises ContenderFailed with the end of its error output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
        start_s = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, env=environment, stdout=out, stderr=err)
        ended = threading.Event()
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, peak), daemon=True)
        if memory:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start_s
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        ended.set()
        if memory:
            watcher.join()
        out.seek(0)
        err.seek(0)
        text = out.read().decode(errors="replace")
        if process.returncode:
            told = (err.read().decode(errors="replace") or text)[-1500:]
            raise ContenderFailed(f"{' '.join(map(str, command[:4]))} … ended with {process.returncode}: {told}")
    return Ran(wall_s, usage.ru_utime + usage.ru_stime, text, peak[0])


def race(
    contenders: Mapping[str, Sequence[str | Path]], rounds: int, cwds: Mapping[str, Path] | None = None
) -> dict[str, list[Ran]]:
    """Every contender `rounds` times, in turns, so that a busy moment meets them all."""
    results: dict[str, list[Ran]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, command in contenders.items():
            results[name].append(run(command, cwd=(cwds or {}).get(name, ROOT)))
    return results


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def module(name: str, *arguments: str | Path) -> list[str | Path]:
    """The command of one of our modules."""
    return [PYTHON, "-m", name, *arguments]


def _watch(pid: int, ended: threading.Event, peak: list[int]) -> None:
    while not ended.wait(MEMORY_EVERY_S):
        peak[0] = max(peak[0], sum(_pss_bytes(one) for one in _family(pid)))


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            tasks = os.listdir(f"/proc/{one}/task")
            for task in tasks:
                found += [int(child) for child in Path(f"/proc/{one}/task/{task}/children").read_text().split()]
        except OSError:
            continue  # it has ended meanwhile
    return found


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
