"""Serves the API on a socket: inside a process group's event loop, or as a process of its own.

In: a config and an event that says stop. Out: HTTP/1.1 by Granian, whose Rust side parses requests in a thread of its
own. The socket is ours, so that port 0 and an address in use are known at once.
"""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from prometheus_client import CollectorRegistry

from claim_api.app import create_app
from claim_api.config import ApiConfig
from claim_api.errors import ApiConfigError
from claim_api.health import Lag
from claim_api.routing import Part

BACKLOG: Final = 1024
HEADER_READ_MS: Final = 10_000
"""A client that has not sent its request's head in this time is let go."""
STOP_S: Final = 5
"""How long requests under way may take when the server stops."""


class GranianServer(Server):
    """Granian's embedded server on a socket that is bound already, without its own log of every start."""

    def __init__(self, api: Any, listening: socket.socket) -> None:
        bounds = api.config.bounds
        super().__init__(
            api,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=bounds.connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_READ_MS, max_buffer_size=max(8192, 4 * bounds.header_bytes)
            ),
            log_enabled=False,
        )
        self._listening = listening
        self.workers_kill_timeout = STOP_S

    def _init_shared_socket(self) -> None:
        # Granian's own attributes (2.8), set as its method of this name does; its stub lacks the holder's arguments.
        # The holder closes the descriptor it is given, so it gets one of its own.
        ours: Any = self
        holder: Any = SocketHolder
        ours._shd = holder(os.dup(self._listening.fileno()), False, BACKLOG)
        ours._sfd = self._listening.fileno()


def listen(config: ApiConfig) -> socket.socket:
    """A listening socket. Raises ApiConfigError naming the address where that cannot be."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server(
            (config.host, config.port), family=family, backlog=BACKLOG, reuse_port=config.reuse_port
        )
    except OSError as error:
        raise ApiConfigError(
            f"the API cannot listen on {config.host} port {config.port}: {error}; give another one by TWZRD_API_PORT"
        ) from error


def base_url(listening: socket.socket) -> str:
    """The address of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def running(
    config: ApiConfig,
    *,
    registry: CollectorRegistry | None = None,
    lag_records: Lag | None = None,
    parts: Sequence[Part] = (),
    listening: socket.socket | None = None,
) -> AsyncIterator[str]:
    """The API served while the block runs; gives its base URL. listening: a socket of `listen`, for whoever must know
    the address beforehand. Raises ApiConfigError as `listen`."""
    listening = listening or listen(config)
    api = create_app(config, registry=registry, lag_records=lag_records, parts=parts)
    server = GranianServer(api, listening)
    serving: asyncio.Task[Any] | None = None
    try:
        await api.start()
        serving = asyncio.create_task(server.serve())
        yield base_url(listening)
    finally:
        await api.end_streams()
        if serving is not None:
            server.stop()  # type: ignore[no-untyped-call]
            await asyncio.gather(serving, return_exceptions=True)
        await api.stop()
        listening.close()


async def serve(
    config: ApiConfig,
    stop_event: asyncio.Event,
    *,
    registry: CollectorRegistry | None = None,
    lag_records: Lag | None = None,
    parts: Sequence[Part] = (),
    listening: socket.socket | None = None,
) -> None:
    """Serve until stop_event is set, as what its process is for."""
    async with running(config, registry=registry, lag_records=lag_records, parts=parts, listening=listening):
        # What stands now stands until the end: to look for garbage in it halted every request for 25 ms, three times a
        # second (p99 of a busy server 25 ms, and 8 ms without).
        gc.collect()
        gc.freeze()
        await stop_event.wait()
