"""wrk against a server of ours: one run, its rate and its 99th percentile."""

import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from infra.bench.racing import ContenderFailed, run


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of wrk."""

    requests_per_s: float
    p99_ms: float


def check_installed() -> None:
    """Raises ContenderFailed without wrk."""
    if shutil.which("wrk") is None:
        raise ContenderFailed("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def until_up(url: str) -> None:
    """Until the server answers, in whatever way. Raises ContenderFailed after 30 s."""
    deadline_s = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers; health may say degraded
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline_s:
                raise ContenderFailed(f"{url} did not answer within 30 s: {error}") from error
            time.sleep(0.05)


def measure(base: str, script: Path, *, connections: int, seconds: int) -> Measured:
    """One run with keep-alive, from one thread. Raises ContenderFailed where an answer was no 2xx."""
    command: list[str | Path] = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, base]
    said = run(command).output
    if "Non-2xx" in said or "Socket errors" in said:
        raise ContenderFailed(f"wrk saw errors: {said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p99 is None:
        raise ContenderFailed(f"wrk's answer cannot be read: {said}")
    return Measured(float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]])
