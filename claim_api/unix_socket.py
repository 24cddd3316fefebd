"""Requests between our own processes on one machine: a unix socket, length-prefixed msgpack, bounds on everything.

Server side in: a path, who may speak, a handler of bytes. Client side in: bytes. A frame is u32le length and as many
bytes; one connection carries one request at a time. Who speaks is the kernel's word (SO_PEERCRED), not the client's.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import TwzrdError

_log: Final = logging.getLogger(__name__)
_LENGTH: Final = struct.Struct("<I")
_CREDENTIALS: Final = struct.Struct("3i")
MAX_PATH_BYTES: Final = 107
"""Of a unix socket's address. Source: unix(7)."""


class SocketError(TwzrdError):
    """The socket cannot be served, or nobody answers on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketBounds:
    """Limits of one socket; each refusal is counted by its name."""

    frame_bytes: int = 256 * 1024
    connections: int = 32
    requests_per_s: float = 200.0
    burst: int = 200
    read_s: float = 10.0
    """How long a frame may take to come whole; a connection that says nothing is let go, too."""
    answer_s: float = 30.0
    """How long a client waits."""


Handler = Callable[[bytes], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def serving(path: Path, handle: Handler, bounds: SocketBounds, refused: Counter[str]) -> AsyncIterator[None]:
    """Answers on the socket while the block runs. Only processes of our own user may speak. Raises SocketError where
    another process serves it already, or the folder is open to others."""
    listening = _listen(path, bounds.connections)
    peers = _Peers(handle, bounds, refused)
    server = await asyncio.start_unix_server(peers.serve, sock=listening)
    try:
        yield
    finally:
        server.close()
        await peers.end()
        _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _listen(path: Path, backlog: int) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SocketError(f"socket {path} has a name of more than {MAX_PATH_BYTES} bytes; choose a shorter one")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = path.parent.stat()
    except OSError as error:
        raise SocketError(f"cannot make the folder of socket {path}: {error.strerror}") from error
    if folder.st_uid != os.geteuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        mode = stat.S_IMODE(folder.st_mode)
        raise SocketError(
            f"folder {path.parent} of the socket is open to others (mode {mode:04o}); close it: chmod 700 {path.parent}"
        )
    if _answers(path):
        raise SocketError(f"another process serves {path} already; stop it first")
    listening = socket.socket(socket.AF_UNIX)
    try:
        _remove(path)
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(backlog)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise SocketError(f"cannot listen on {path}: {error.strerror}") from error
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(str(path))
        except OSError:
            return False
        return True


class _Peers:
    """All connections of one socket."""

    def __init__(self, handle: Handler, bounds: SocketBounds, refused: Counter[str]) -> None:
        self._handle, self._bounds, self._refused = handle, bounds, refused
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens = float(bounds.burst)
        self._at_s = asyncio.get_running_loop().time()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._welcome(writer):
                await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._refused["cut_short"] += 1
        except Exception:  # noqa: BLE001 - the asker sees its connection end, and the log has the trace
            self._refused["faults"] += 1
            _log.exception("a request on the socket failed")
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _welcome(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(peer)
        if uid != os.geteuid():
            self._refused["foreign_user"] += 1
            _log.warning("a process of user %d spoke to the socket and was let go", uid)
            return False
        if len(self._tasks) > self._bounds.connections:
            self._refused["connections"] += 1
            return False
        return True

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(self._bounds.read_s):
                head = await reader.read(_LENGTH.size)
                if not head:
                    return
                head += await reader.readexactly(_LENGTH.size - len(head))
                (length,) = _LENGTH.unpack(head)
                if length > self._bounds.frame_bytes:
                    self._refused["frame_bytes"] += 1
                    return
                request = await reader.readexactly(length)
            if not self._token():
                self._refused["rate"] += 1
                return
            answer = await self._handle(request)
            writer.write(_LENGTH.pack(len(answer)) + answer)
            await writer.drain()

    def _token(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        self._tokens = min(self._bounds.burst, self._tokens + (now_s - self._at_s) * self._bounds.requests_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def ask(path: Path, request: bytes, bounds: SocketBounds) -> bytes:
    """One request on a connection of its own. Raises SocketError where nobody answers in time; then the request may
    have been done or not."""
    if len(request) > bounds.frame_bytes:
        raise SocketError(f"a request of {len(request)} bytes to {path}; at most {bounds.frame_bytes}")
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(bounds.answer_s):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(_LENGTH.pack(len(request)) + request)
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if length > bounds.frame_bytes:
                raise SocketError(f"an answer of {length} bytes on {path}; at most {bounds.frame_bytes}")
            return await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
        raise SocketError(f"nobody answers on {path}: {type(error).__name__} {error}".rstrip()) from error
    finally:
        if writer is not None:
            writer.close()
