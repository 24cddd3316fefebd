"""The embedded server as its users see it: start, get a DSN, stop.

In: a directory. Out: a DSN for asyncpg (or psql). Several processes may use one server at the same time: each holds a
shared lock on the file `owners`, which the kernel takes back even from a process killed by kill -9, so a dead owner
never counts; whoever stops last stops the server. A server whose owners were all killed is simply used again.

    data_dir/lock       held while somebody starts or stops the server
    data_dir/owners     one shared lock for every process that uses it
    data_dir/cluster    Postgres' own directory, with its socket in it
    data_dir/socket-folder  names the socket's folder where that path is too long or odd for a socket
"""

import atexit
import fcntl
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from infra.postgres import cluster as clusters
from infra.postgres import postmaster
from infra.postgres.binaries import server_account, server_bin_dir
from infra.postgres.errors import PostgresError
from infra.postgres.sockets import fits_socket, short_socket_folder

LOCK_TIMEOUT_S = 180.0
KEPT_LOOK_S = 1.0
KEPT_LAST_PAUSE_S = 60.0
_log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A Postgres server under `data_dir`, shared by every process that starts it there.

    `durable=False` is for tests: without fsync, data survives kill -9 but no power cut. All calls block; from async
    code use asyncio.to_thread. Raises PostgresUnavailable (the machine lacks something) or PostgresError.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.durable = durable
        self._owner: int | None = None
        self._owner_process = 0

    @property
    def cluster(self) -> Path:
        return self.data_dir / "cluster"

    def start(self) -> str:
        """Make the cluster if need be, start the server unless it runs, and return the DSN of its database `twzrd`.

        May be called again at any time: a server that died meanwhile is started again.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PostgresError(f"cannot make {self.data_dir}: {error}; choose another --home") from error
        with self._mutex():
            if self._owner is None or self._owner_process != os.getpid():
                self._owner = os.open(self.data_dir / "owners", os.O_RDWR | os.O_CREAT, 0o600)
                self._owner_process = os.getpid()
                fcntl.flock(self._owner, fcntl.LOCK_SH)
                atexit.register(self.stop)
            with _signals_later():
                try:
                    found = postmaster.wait_ready(self.cluster) or self._start_server()
                except BaseException:
                    self._let_go()
                    raise
        return self._dsn(found.socket_dir)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the block runs, a server that died (kill -9, out of memory) is started again, under the same DSN."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(ended,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _keep(self, ended: threading.Event) -> None:
        pause_s = KEPT_LOOK_S
        while not ended.wait(pause_s):
            try:
                if postmaster.running(self.cluster) is None:
                    self._start_again()
                pause_s = KEPT_LOOK_S
            except (PostgresError, OSError) as error:
                pause_s = min(KEPT_LAST_PAUSE_S, pause_s * 2)
                _log.error("the embedded Postgres is gone and does not start, again in %.0f s: %s", pause_s, error)

    def _start_again(self) -> None:
        with self._mutex():
            if postmaster.wait_ready(self.cluster) is None:  # else another of its users was first
                self._start_server()
                _log.warning("the embedded Postgres had died; it runs again")

    def stop(self) -> None:
        """Give the server up; it stops when nobody else uses it. Does nothing if this object did not start it."""
        if self._owner is None or self._owner_process != os.getpid():
            return
        with self._mutex():
            self._let_go()
            with self._as_only_user() as alone:
                if alone:
                    postmaster.stop(self.cluster)

    def destroy(self) -> None:
        """Stop the server and remove all its data. Raises PostgresError if another process uses it."""
        self.stop()
        if not self.data_dir.exists():
            return
        with self._mutex(), self._as_only_user() as alone:
            if not alone:
                raise PostgresError(f"{self.data_dir} is in use by another process; stop that first")
            postmaster.stop(self.cluster)
            shutil.rmtree(self.data_dir)

    def running_pid(self) -> int | None:
        """Process id of the live server, whoever started it."""
        found = postmaster.running(self.cluster)
        return found.pid if found else None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_server(self) -> postmaster.Postmaster:
        account = server_account(self.cluster)
        programs = server_bin_dir(account)
        clusters.ensure_cluster(self.cluster, programs, account, self.durable)
        in_place = fits_socket(self.cluster)
        socket_dir = "." if in_place else short_socket_folder(self.data_dir / "socket-folder", account)
        postmaster.refuse_hidden(self.cluster, socket_dir)
        clusters.write_settings(self.cluster, socket_dir, account, self.durable)
        return postmaster.start(self.cluster, programs, account, socket_dir)

    def _dsn(self, socket_dir: str) -> str:
        host = str(self.cluster) if socket_dir == "." else socket_dir
        return f"postgresql://{clusters.ROLE}@/{clusters.DATABASE}?host={quote(host, safe='')}&port=5432"

    def _let_go(self) -> None:
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
            atexit.unregister(self.stop)

    @contextmanager
    def _as_only_user(self) -> Iterator[bool]:
        descriptor = os.open(self.data_dir / "owners", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        descriptor = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > deadline:
                    raise PostgresError(f"another process has held {self.data_dir / 'lock'} for {LOCK_TIMEOUT_S:.0f} s")
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _signals_later() -> Iterator[None]:
    """What asks us to stop waits until the block is through: a start that is broken off would leave a server that
    nobody stops."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
