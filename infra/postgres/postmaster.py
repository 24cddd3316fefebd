"""The running server: is it there, is it ready, start it, stop it, clear what a killed one left.

In: a cluster directory. Out: the truth about its processes, taken from the kernel and not from files: `postmaster.pid`
may name a dead process, a zombie, or a stranger that got the same number.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.postgres.binaries import Account, run_as
from infra.postgres.cluster import data_argument
from infra.postgres.errors import PostgresError
from infra.postgres.sockets import SOCKET_FILE, answers, remove_socket_folder

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Postmaster:
    """One line of truth from postmaster.pid: process, where its socket is, and whether it takes connections."""

    pid: int
    socket_dir: str
    ready: bool


def running(cluster: Path) -> Postmaster | None:
    """The live postmaster of the cluster, or None. A zombie is dead; the same pid elsewhere is a stranger."""
    lines = _pid_file_lines(cluster)
    if len(lines) < 5 or not lines[0].lstrip("-").isdigit() or int(lines[0]) <= 1:
        return None
    pid = int(lines[0])
    if not _is_at_home(pid, cluster):
        return None
    return Postmaster(pid, lines[4].strip(), len(lines) > 7 and lines[7].strip() == "ready")


def wait_ready(cluster: Path, timeout_s: float = START_TIMEOUT_S) -> Postmaster | None:
    """Wait for a live postmaster that is coming up (or going down); None once there is none.

    A process shot a moment ago still looks alive, so only one that answers counts as ready.
    """
    deadline = time.monotonic() + timeout_s
    while (found := running(cluster)) is not None:
        if found.ready and answers(cluster if found.socket_dir == "." else Path(found.socket_dir)):
            return found
        if time.monotonic() > deadline:
            raise PostgresError(
                f"Postgres {found.pid} in {cluster} is not ready after {timeout_s:.0f} s\n{log_tail(cluster)}"
            )
        time.sleep(_POLL_S)
    return None


def refuse_hidden(cluster: Path, socket_dir: str) -> None:
    """For a start: raises PostgresError where somebody answers behind the socket although no process of ours is there.
    A server of another container, whose processes the kernel does not show us: a second one would ruin its data."""
    if running(cluster) is None and answers(cluster / socket_dir):
        raise PostgresError(
            f"a server that this process cannot see runs in {cluster}, likely in another container; stop it there, or "
            "give this one another --home: two over one home would ruin it"
        )


def start(cluster: Path, bin_dir: Path, account: Account | None, socket_dir: str) -> Postmaster:
    """Start the server, which will put its socket in `socket_dir`, and wait until it takes connections."""
    _clear_dead(cluster, socket_dir)
    argv = [str(bin_dir / "pg_ctl"), "start", "-w", "-t", f"{START_TIMEOUT_S:.0f}"]
    argv += ["-D", data_argument(), "-l", "startup.log"]
    (cluster / "startup.log").unlink(missing_ok=True)
    code, output = run_as(argv, account, cluster, START_TIMEOUT_S + 10)
    found = wait_ready(cluster) if code == 0 else None
    if found is None:
        raise PostgresError(
            f"Postgres did not start in {cluster} ({output.strip()}); its log says:\n{log_tail(cluster)}"
        )
    return found


def stop(cluster: Path) -> None:
    """Stop the server (fast shutdown: open transactions are rolled back), or harder when it does not listen."""
    found = running(cluster)
    if found is None:
        return
    for sign, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0)):
        try:
            os.kill(found.pid, sign)
        except ProcessLookupError:
            break
        if _wait_gone(found.pid, cluster, patience_s):
            break
    else:
        raise PostgresError(
            f"Postgres {found.pid} in {cluster} does not stop; look at its log, then: kill -9 {found.pid}"
        )
    remove_socket_folder(found.socket_dir)


def log_tail(cluster: Path, lines: int = 12) -> str:
    """The newest lines of the server's own log, for an error message."""
    logs = [path for path in (cluster / "startup.log", *(cluster / "log").glob("*.log")) if path.is_file()]
    logs.sort(key=lambda path: path.stat().st_mtime)
    text = "".join(path.read_text(errors="replace") for path in logs[-2:])
    return "\n".join(text.splitlines()[-lines:])


def _clear_dead(cluster: Path, socket_dir: str) -> None:
    """Make the place free after a kill -9 of the postmaster.

    Its backends notice within moments, but until they are gone they may still write: wait for them. Then the pid file
    is removed, since Postgres takes a zombie or a stranger of the same number for a live server and refuses to start.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while left := _processes_at_home(cluster):
        if time.monotonic() > deadline:
            raise PostgresError(f"processes {left} of a dead Postgres still use {cluster}; end them: kill -9 {left[0]}")
        time.sleep(_POLL_S)
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for name in (SOCKET_FILE, SOCKET_FILE + ".lock"):
        (cluster / socket_dir / name).unlink(missing_ok=True)


def _pid_file_lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_at_home(pid: int, cluster: Path) -> bool:
    """Whether the process is alive, no zombie, a Postgres, and works in this cluster (every Postgres process does)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return False
        return os.path.samefile(process.cwd(), cluster)
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, PermissionError):
        return False


def _processes_at_home(cluster: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["name"])
        if (process.info["name"] or "").startswith("postgres") and _is_at_home(process.pid, cluster)
    ]


def _wait_gone(pid: int, cluster: Path, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while _is_at_home(pid, cluster):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
