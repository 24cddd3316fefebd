"""`twzrd up` however it ends: no process is left behind, and what dies beneath it comes back."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psutil
import pytest

from infra.postgres import EmbeddedPostgres
from tests.integration.cli.conftest import Twzrd

PATIENCE_S = 60.0
ROOT = Path(__file__).parents[3]
POLL_S = 0.05
PARTS = ("work", "project", "archive", "close", "serve")

pytestmark = pytest.mark.postgres


def of_home(home: Path) -> list[psutil.Process]:
    """Every process that works for this home: the command, its parts, the server."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(home) in one.cmdline() or one.cwd() == str(home / "postgres" / "cluster"):
                found.append(one)
    return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


class Up:
    """A running `twzrd up` in a process group of its own, as a shell starts it."""

    def __init__(self, home: Path, log: Path, terminal: int | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
        command = [sys.executable, "-m", "infra.cli", "--home", str(home), "up", "--port", "0"]
        self.home, self._log = home, log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, env=clean, stdin=terminal, stdout=file, stderr=file, start_new_session=True
            )

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, f"not {what}: {of_home(self.home)}\n{self._log.read_text()}"
            time.sleep(POLL_S)

    def until_it_serves(self) -> None:
        self.until(lambda: "the API listens" in self._log.read_text(), "serving")
        self.until(
            lambda: {part for one in of_home(self.home) for part in PARTS if part in one.cmdline()} == set(PARTS), "up"
        )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path / "home", tmp_path / "up.log")
    try:
        started.until_it_serves()
        yield started
    finally:
        for one in of_home(started.home):
            with contextlib.suppress(psutil.Error):
                one.kill()
        started.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_ends_all_of_it_in_peace(up: Up, number: signal.Signals, tmp_path: Path) -> None:
    os.killpg(up.process.pid, number)
    assert up.process.wait(PATIENCE_S) == 0
    assert of_home(up.home) == []
    assert "exit code" not in (tmp_path / "up.log").read_text(), "parts that were asked to stop are no failures"


def test_killed_by_kill_9_it_leaves_nothing_behind(up: Up) -> None:
    up.process.kill()
    up.process.wait()
    up.until(lambda: of_home(up.home) == [], "gone")


def test_a_killed_postgres_comes_back_under_it(up: Up, twzrd: Twzrd) -> None:
    server = EmbeddedPostgres(up.home / "postgres")
    killed = server.running_pid()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    up.until(lambda: server.running_pid() not in (None, killed), "another server")
    twzrd("simulate", "--into-log", "--seconds", "60", "--channels", "2", "--start", "now")
    assert twzrd("log", "spans", "--json").out.count("chat.events") == 8


def test_a_second_one_of_the_same_home_is_refused(up: Up, twzrd: Twzrd) -> None:
    for arguments in (["up", "--port", "0"], ["demo", "--once"]):
        refused = twzrd(*arguments, code=1)
        assert f"process {up.process.pid} runs" in refused.err and "--home" in refused.err
    assert up.process.poll() is None


def test_a_lost_pepper_is_not_replaced(up: Up, twzrd: Twzrd) -> None:
    os.killpg(up.process.pid, signal.SIGTERM)
    up.process.wait(PATIENCE_S)
    (up.home / "keys" / "pepper").unlink()
    for command in ("up", "work", "serve", "demo"):
        assert "restore it from a backup" in twzrd(command, code=1).err
    assert not (up.home / "keys" / "pepper").exists()


def test_another_pepper_than_the_log_s_seals_nothing(twzrd: Twzrd, shared_dir: Path, tmp_path: Path) -> None:
    twzrd("load", shared_dir / "vectors/seals/kinds_400.irc")
    with contextlib.closing(sealing(tmp_path)) as work:
        next(work)
        deadline = time.monotonic() + PATIENCE_S
        while not (sealed := twzrd("log", "cat", "epoch.sealed", "--limit", "1000").out):
            assert time.monotonic() < deadline, (tmp_path / "work.log").read_text()
    other = tmp_path / "other"
    other.write_text("22" * 32)
    other.chmod(0o600)
    for command in ("work", "up"):
        assert "were made with another pepper" in twzrd(command, code=1, TWZRD_PEPPER_FILE=str(other)).err
    assert twzrd("log", "cat", "epoch.sealed", "--limit", "1000").out.startswith(sealed)


def sealing(tmp_path: Path) -> Generator[None, None, None]:
    """A worker, until it is closed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    command = [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), "work"]
    with (tmp_path / "work.log").open("wb") as log, subprocess.Popen(command, env=clean, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.parametrize("command", [["load"], ["replay", "--out"]])
def test_reading_processes_end_with_a_command_that_is_killed(twzrd: Twzrd, tmp_path: Path, command: list[str]) -> None:
    twzrd("simulate", "--seconds", "3600", "--rate", "300", "--out", tmp_path / "chat.irc")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    words = [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), *command]
    words += [*([str(tmp_path / "out")] if "--out" in command else []), str(tmp_path / "chat.irc")]
    with subprocess.Popen([*words, "--jobs", "2"], cwd=ROOT, env=clean) as process:
        ours = psutil.Process(process.pid)
        while len(readers := ours.children(recursive=True)) < 2:
            assert process.poll() is None
        process.kill()
    gone, left = psutil.wait_procs(readers, PATIENCE_S)
    assert (len(gone), left) == (len(readers), [])
    twzrd("db", "status")  # a server that a killed command left is used by the next one, which then stops it
    assert of_home(tmp_path / "home") == []


@pytest.mark.parametrize("sign", ["cluster.unfinished", "cluster/postmaster.pid"])
def test_ctrl_c_while_the_server_starts_leaves_none(tmp_path: Path, sign: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    home = tmp_path / "home"
    command = [sys.executable, "-m", "infra.cli", "--home", str(home), "db", "migrate"]
    with subprocess.Popen(command, env=clean, start_new_session=True) as process:
        while not (home / "postgres" / sign).exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
    assert of_home(home) == []
    assert subprocess.run(command, env=clean, check=False).returncode == 0


def test_ctrl_c_ends_a_demo_at_once_at_any_moment(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    home = tmp_path / "home"
    command = [sys.executable, "-m", "infra.cli", "--home", str(home), "demo", "--port", "0"]
    for moment in ("starting the embedded Postgres", "feeding simulated chat", "serving until Ctrl-C"):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command, env=clean, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        seen = b""
        while moment.encode() not in seen:
            seen += os.read(ours, 65536)
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal's end
            while piece := os.read(ours, 65536):
                seen += piece
        assert process.wait(PATIENCE_S) == (0 if moment.startswith("serving") else 130), seen.decode()
        os.close(ours)
        assert b"exit code" not in seen and b"Traceback" not in seen, seen.decode()
        assert of_home(home) == []
        assert home.stat().st_mode & 0o777 == 0o700, "what lies in it names people"
