"""PubSub: a WebSocket on which a client waits for slots and for the fate of signatures.

In: the chain's slots and landings. Out: notifications. Methods: signatureSubscribe, signatureUnsubscribe,
slotSubscribe, slotUnsubscribe; a signature's subscription ends with its one notification, as on a real node.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

from infra.localnet.errors import INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError, invalid_params
from infra.localnet.ledger import Entry
from infra.localnet.methods.context import API_VERSION, Context, commitment_of, config_at, signature, text_at, whole_at

MAX_WAITING_NOTICES: Final = 4096
"""Of one socket; a client that reads more slowly is cut off."""
MAX_MESSAGE_BYTES: Final = 65_536


@dataclass(slots=True, eq=False)
class _Socket:
    """One client: its subscriptions and what waits to be sent to it."""

    web_socket: web.WebSocketResponse
    signatures: dict[int, tuple[str, str]] = field(default_factory=dict)
    slots: set[int] = field(default_factory=set)
    outgoing: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING_NOTICES))


class PubSub:
    """Every client's subscriptions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._options, self._counters = context.chain.options, context.chain.counters
        self._sockets: set[_Socket] = set()
        self._numbers = itertools.count(1)
        self._open = 0
        context.chain.on_slot.append(self._slot_began)
        context.chain.on_landed.append(self._landed)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One client, until it goes."""
        if len(self._sockets) >= self._options.max_sockets:
            self._counters.sockets_refused_total += 1
            return web.Response(status=503, text=f"{len(self._sockets)} sockets are open; no more\n")
        web_socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, heartbeat=30)
        if not web_socket.can_prepare(request):
            return web.Response(status=405, text="this port speaks WebSocket; JSON-RPC is on the port before\n")
        await web_socket.prepare(request)
        socket = _Socket(web_socket)
        self._sockets.add(socket)
        writer = asyncio.create_task(self._write(socket))
        try:
            async for message in web_socket:
                if message.type is WSMsgType.TEXT:
                    self._put(socket, self._answer(socket, message.data))
        finally:
            self._sockets.discard(socket)
            self._open -= len(socket.signatures) + len(socket.slots)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return web_socket

    async def close(self) -> None:
        """Say goodbye to every client."""
        for socket in list(self._sockets):
            await socket.web_socket.close()

    async def _write(self, socket: _Socket) -> None:
        while (payload := await socket.outgoing.get()) is not None:
            try:
                await socket.web_socket.send_str(payload.decode())
            except ConnectionError:  # the reading side ends the socket
                return
        await socket.web_socket.close(code=1008, message=b"too slow")

    def _put(self, socket: _Socket, value: dict[str, Any]) -> None:
        if socket.outgoing.full():
            self._counters.notices_dropped_total += 1
            socket.outgoing.get_nowait()
            socket.outgoing.put_nowait(None)
            return
        socket.outgoing.put_nowait(orjson.dumps(value))

    def _answer(self, socket: _Socket, text: str) -> dict[str, Any]:
        number = None
        try:
            try:
                request = orjson.loads(text)
            except ValueError:
                raise RpcError(PARSE_ERROR, "Parse error") from None
            if not isinstance(request, dict):
                raise RpcError(INVALID_REQUEST, "Invalid request")
            number = request.get("id")
            result = self._run(socket, str(request.get("method")), request.get("params") or [])
            return {"jsonrpc": "2.0", "result": result, "id": number}
        except RpcError as error:
            return {"jsonrpc": "2.0", "error": error.body(), "id": number}

    def _run(self, socket: _Socket, method: str, params: list[Any]) -> Any:
        if method == "slotSubscribe":
            subscription = self._subscribe()
            socket.slots.add(subscription)
            return subscription
        if method == "signatureSubscribe":
            wanted = signature(text_at(params, 0, "a signature")), commitment_of(config_at(params, 1))
            subscription = self._subscribe()
            socket.signatures[subscription] = wanted
            # The answer with the subscription's number goes first.
            asyncio.get_running_loop().call_soon(self._look, socket)
            return subscription
        if method in ("slotUnsubscribe", "signatureUnsubscribe"):
            return self._unsubscribe(socket, method, whole_at(params, 0, "a subscription"))
        raise RpcError(METHOD_NOT_FOUND, "Method not found")

    def _subscribe(self) -> int:
        if self._open >= self._options.max_subscriptions:
            self._counters.subscriptions_refused_total += 1
            raise RpcError(INVALID_REQUEST, f"{self._open} subscriptions are open; no more")
        self._open += 1
        return next(self._numbers)

    def _unsubscribe(self, socket: _Socket, method: str, subscription: int) -> bool:
        if method == "slotUnsubscribe" and subscription in socket.slots:
            socket.slots.discard(subscription)
        elif method == "signatureUnsubscribe" and subscription in socket.signatures:
            del socket.signatures[subscription]
        else:
            raise invalid_params("Invalid subscription id.")
        self._open -= 1
        return True

    def _slot_began(self, slot: int) -> None:
        for socket in self._sockets:
            for subscription in socket.slots:
                root = self._context.slot_of("finalized")
                self._notify(socket, "slotNotification", subscription, {"parent": slot - 1, "root": root, "slot": slot})
            self._look(socket)

    def _landed(self, entry: Entry) -> None:
        for socket in self._sockets:
            if socket.signatures:
                self._look(socket, entry.signature)

    def _look(self, socket: _Socket, only: str | None = None) -> None:
        """Notify of every signature that has come as far as its subscriber wants."""
        if socket not in self._sockets:
            return
        for subscription, (wanted, commitment) in list(socket.signatures.items()):
            if only is not None and wanted != only:
                continue
            entry = self._context.chain.ledger.get(wanted, self._context.slot_of(commitment))
            if entry is None:
                continue
            del socket.signatures[subscription]
            self._open -= 1
            context = {"apiVersion": API_VERSION, "slot": self._context.slot_of(commitment)}
            result = {"context": context, "value": {"err": entry.outcome.err}}
            self._notify(socket, "signatureNotification", subscription, result)

    def _notify(self, socket: _Socket, method: str, subscription: int, result: Any) -> None:
        self._counters.notices_total += 1
        self._put(
            socket, {"jsonrpc": "2.0", "method": method, "params": {"result": result, "subscription": subscription}}
        )
