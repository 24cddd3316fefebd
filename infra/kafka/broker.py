"""One Kafka node as its users see it: start, get the bootstrap address, stop, kill, start again with its data.

In: a directory. Out: "127.0.0.1:port". What runs is written in data_dir/broker.json, so that another process (a later
`twzrd kafka stop`, another test worker) finds the same broker; ports are kept over restarts.

    data_dir/lock              held while somebody starts or stops the broker
    data_dir/broker.json       process, its start time, ports
    data_dir/server.properties, log4j2.properties   written before every start
    data_dir/log/              Kafka's own data          data_dir/broker.log   what it printed since its last start
"""

import base64
import fcntl
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec
import psutil

from infra.kafka.errors import KafkaError
from infra.kafka.jars import ensure_jars, java
from infra.kafka.probe import answers, port_is_free
from infra.kafka.server_properties import LOG4J_PROPERTIES, LOG_FOLDER, server_properties
from infra.settings import default_cache_dir

PORT_TIMEOUT_S = 5.0
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
# Below the range that systems give to outgoing connections, so that nothing takes the port while the broker is down.
PORTS = range(20_000, 30_000)
_PORT_TRIES = 200
_POLL_S = 0.05


class _Running(msgspec.Struct, frozen=True):
    """broker.json: pid and start time name one process for ever; pid 0 after a stop."""

    pid: int
    started_s: float
    port: int
    controller_port: int


class DevKafka:
    """A single-node Apache Kafka under `data_dir`, on 127.0.0.1.

    `port` 0 takes a free one the first time and keeps it. `heap_mb` bounds the JVM's heap (its whole memory is about
    200 MB more). All calls block. Raises KafkaUnavailable (Java, Maven or network missing) or KafkaError.
    """

    def __init__(self, data_dir: Path, port: int = 0, *, heap_mb: int = 512, cache_dir: Path | None = None) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.port = port
        self.heap_mb = heap_mb
        self._cache_dir = cache_dir
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the broker unless it runs already, wait until it serves, and return its bootstrap address."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KafkaError(f"cannot make {self.data_dir}: {error}; choose another --home") from error
        with self._mutex():
            state = self._live()
            if state is None:
                state = self._launch()
            self._wait_ready(state)
            return f"127.0.0.1:{state.port}"

    def stop(self) -> None:
        """Stop the broker, whichever process started it; its data stays."""
        if self.data_dir.exists():
            with self._mutex():
                self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, for tests: nothing is flushed or said goodbye to."""
        with self._mutex():
            self._end(signal.SIGKILL)

    def running_pid(self) -> int | None:
        """Process id of the live broker, whoever started it."""
        state = self._live()
        return state.pid if state else None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines the broker printed."""
        path = self.data_dir / "broker.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _launch(self) -> _Running:
        command = [java(), "-cp", f"{ensure_jars(self._cache_dir or default_cache_dir())}/*"]
        port, controller_port = self._choose_ports()
        properties = self.data_dir / "server.properties"
        properties.write_text(server_properties(port, controller_port))
        (self.data_dir / "log4j2.properties").write_text(LOG4J_PROPERTIES)
        # A path that Java reads as a URI; relative, for the same reason as log.dirs.
        command += ["-Dlog4j2.configurationFile=log4j2.properties"]
        if not (self.data_dir / LOG_FOLDER / "meta.properties").exists():
            self._format(command)
        command += [
            "-Xms128m",
            f"-Xmx{self.heap_mb}m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:+ExitOnOutOfMemoryError",
        ]
        command += ["-Djava.awt.headless=true", "kafka.Kafka", properties.name]
        with open(self.data_dir / "broker.log", "wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C on our terminal is for us; we stop the broker in our own order.
                start_new_session=True,
            )
        started_s = psutil.Process(self._process.pid).create_time()
        state = _Running(self._process.pid, started_s, port, controller_port)
        self._record(state)
        return state

    def _format(self, command: list[str]) -> None:
        # Random, but never with a '-' in front, which the tool would take for an option.
        cluster_id = "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:21] + "A"
        argv = [*command, "kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
        argv += ["-t", cluster_id, "-c", "server.properties"]
        done = subprocess.run(
            argv, cwd=self.data_dir, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise KafkaError(
                f"formatting {self.data_dir} failed with code {done.returncode}; is the disk full?\n{tail}"
            )

    def _choose_ports(self) -> tuple[int, int]:
        before = self._recorded()
        port = self.port or (before.port if before else 0)
        self._await_own_ports(before)
        if self.port and not port_is_free(port):
            raise KafkaError(f"port {port} is in use by another program; choose another or leave it 0")
        if not port or not port_is_free(port):
            port = _free_port(taken=0)
        controller_port = before.controller_port if before else 0
        if not controller_port or controller_port == port or not port_is_free(controller_port):
            controller_port = _free_port(taken=port)
        return port, controller_port

    def _await_own_ports(self, before: _Running | None) -> None:
        """A killed broker's threads may hold its ports a moment longer than its process seems to live; clients know
        the address, so it is worth waiting for."""
        deadline = time.monotonic() + PORT_TIMEOUT_S
        while before and not (port_is_free(before.port) and port_is_free(before.controller_port)):
            if time.monotonic() > deadline:
                return  # somebody else's by now
            time.sleep(_POLL_S)

    def _wait_ready(self, state: _Running) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(state.port):
            if self._live() is None:
                raise KafkaError(f"Kafka in {self.data_dir} ended while starting; its log says:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                message = f"Kafka in {self.data_dir} was not ready after {START_TIMEOUT_S:.0f} s; its log says:"
                raise KafkaError(f"{message}\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def _end(self, sign: signal.Signals) -> None:
        state = self._live()
        if state is None:
            return
        for step, patience_s in ((sign, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
            try:
                os.kill(state.pid, step)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + patience_s
            while self._live() is not None and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if self._live() is None:
                break
        else:
            raise KafkaError(f"Kafka {state.pid} in {self.data_dir} does not end even by kill -9; is its disk stuck?")
        self._record(msgspec.structs.replace(state, pid=0))

    def _live(self) -> _Running | None:
        """What broker.json names, if that very process still runs; a zombie does not."""
        if self._process is not None:
            self._process.poll()  # takes our dead child off the process table
        state = self._recorded()
        if state is None or state.pid == 0:
            return None
        try:
            process = psutil.Process(state.pid)
            same = abs(process.create_time() - state.started_s) < 1.0
            return state if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _recorded(self) -> _Running | None:
        try:
            return msgspec.json.decode((self.data_dir / "broker.json").read_bytes(), type=_Running)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _record(self, state: _Running) -> None:
        unfinished = self.data_dir / "broker.json.unfinished"
        unfinished.write_bytes(msgspec.json.encode(state))
        unfinished.rename(self.data_dir / "broker.json")

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        with open(self.data_dir / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _free_port(taken: int) -> int:
    for port in random.sample(PORTS, _PORT_TRIES):
        if port != taken and port_is_free(port):
            return port
    raise KafkaError(f"none of {_PORT_TRIES} ports tried between {PORTS.start} and {PORTS.stop} is free; name one")
