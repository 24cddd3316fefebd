"""The local cluster as a process sees it: JSON-RPC over HTTP on one port, PubSub on the next.

In: options. Out: a node that any Solana client can be pointed at. `async with Localnet(options) as localnet`.
"""

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Any, Final

from aiohttp import web

from infra.localnet.chain import Chain
from infra.localnet.errors import LocalnetError
from infra.localnet.faults import Faults
from infra.localnet.methods.context import Context
from infra.localnet.options import Counters, LocalnetOptions
from infra.localnet.pubsub import PubSub
from infra.localnet.rpc import NoAnswer, Rpc

PORT_TRIES: Final = 100
SHUTDOWN_S: Final = 1.0
"""How long a stop waits for answers under way; a silent one (a fault) would take its whole time."""
# As a real node: wallets in browsers call it from their own origins.
_CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS",
    "access-control-allow-headers": "content-type, solana-client",
    "access-control-max-age": "86400",
}


class Localnet:
    """A cluster of one node. `chain` and `faults` are for tests in the same process."""

    def __init__(self, options: LocalnetOptions) -> None:
        self.options, self.counters, self.faults = options, Counters(), Faults(options.seed)
        self.chain = Chain(options, self.counters)
        self.port = options.port
        self._runners: list[web.ServerRunner] = []
        self._ticker: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where JSON-RPC answers."""
        return f"http://{self.options.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where PubSub answers."""
        return f"ws://{self.options.host}:{self.port + 1}"

    async def __aenter__(self) -> "Localnet":
        sockets = _bind(self.options.host, self.options.port)
        try:
            self.chain.open()
        except BaseException:
            for one in sockets:
                one.close()
            raise
        self.port = sockets[0].getsockname()[1]
        context = Context(self.chain, self.faults)
        self._rpc, self._pubsub = Rpc(context), PubSub(context)
        for bound, handler in zip(sockets, (self._serve, self._pubsub.serve), strict=True):
            runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=SHUTDOWN_S)
            await runner.setup()
            await web.SockSite(runner, bound, backlog=1024).start()
            self._runners.append(runner)
        if self.options.slot_ms:
            self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self._pubsub.close()
        for runner in self._runners:
            await runner.cleanup()
        await self.chain.journal.synced()
        self.chain.close()

    async def ended(self) -> None:
        """Returns never; raises what stopped the slots."""
        if self._ticker is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self._ticker

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.chain.clock.until_next_ms(self.chain.now_ms()) / 1000)
            self.chain.tick()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(status=200, headers=_CORS)
        if request.method == "GET" and request.path == "/health":
            return web.Response(text="ok", headers=_CORS)
        if request.method != "POST":
            return web.Response(status=405, text="Used HTTP Method is not allowed. POST or OPTIONS is required\n")
        body = await _read(request, self.options.max_request_bytes)
        if body is None:
            self.counters.refused_requests_total += 1
            return web.Response(status=413, text=f"more than {self.options.max_request_bytes} bytes\n")
        try:
            answer = await self._rpc.answer(body)
        except NoAnswer as silence:
            return await _act_out(request, silence)
        return web.Response(body=answer, content_type="application/json", headers=_CORS)


async def _read(request: web.BaseRequest, most_bytes: int) -> bytes | None:
    body = b""
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > most_bytes:
            return None
    return body


async def _act_out(request: web.BaseRequest, silence: NoAnswer) -> web.StreamResponse:
    fault = silence.fault
    if fault.kind == "timeout":
        await asyncio.sleep(fault.after_ms / 1000)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=504)
    headers: dict[str, Any] = dict(_CORS)
    if fault.status == 429:
        headers["retry-after"] = "1"
    return web.Response(status=fault.status, text=f"fault {fault.status}\n", headers=headers)


def _bind(host: str, port: int) -> list[socket.socket]:
    """Two sockets on neighbouring ports. Raises LocalnetError."""
    for _ in range(PORT_TRIES if port == 0 else 1):
        first = _listen(host, port)
        try:
            return [first, _listen(host, first.getsockname()[1] + 1)]
        except LocalnetError:
            first.close()
            if port:
                raise
    raise LocalnetError(f"no two free ports side by side on {host} in {PORT_TRIES} tries; name one with --port")


def _listen(host: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as undo:
        bound = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except (OSError, OverflowError) as error:
            raise LocalnetError(f"cannot listen on {host}:{port}: {error}; choose another --port") from error
        undo.pop_all()
        return bound
