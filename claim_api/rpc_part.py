"""The route POST /rpc: the proxy as a part of the API.

In: requests. Out: the proxy's answers with their HTTP headers; a body that cannot be had is refused in JSON-RPC's form
too.
"""

from collections.abc import Callable, Sequence
from typing import Final

from claim_api.answer import Answer, answer
from claim_api.errors import ApiError
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.rpc_clients import client_of
from claim_api.rpc_proxy import ProxyAnswer, RpcProxy
from streams.chain.rpc.pool import RpcPool

JSON_TYPE: Final = b"application/json"


def by_peer(request: Request) -> str:
    """The client as the socket says it; behind a proxy of one's own give another function."""
    return client_of(request.peer)


class RpcPart:
    """claim_api.routing.Part. It starts and closes the pool."""

    def __init__(self, pool: RpcPool, proxy: RpcProxy, client: Callable[[Request], str] = by_peer) -> None:
        self._pool, self._proxy, self._client = pool, proxy, client

    def routes(self) -> Sequence[Route]:
        return (Route("rpc", "rpc", {"POST": self._rpc}),)

    async def start(self) -> None:
        """Opens the pool; needs no node yet."""
        await self._pool.start()

    async def stop(self) -> None:
        await self._pool.close()

    async def _rpc(self, request: Request) -> Answer:
        kind = (request.header(b"content-type") or b"").split(b";")[0].strip().lower()
        if kind != JSON_TYPE:
            # What a foreign page may send without asking first is never JSON: it must not spend a visitor's rate.
            return _http(self._proxy.refused_before(415, "send content-type: application/json"))
        try:
            request.query(())
            body = await request.body()
        except ApiError as error:
            return _http(self._proxy.refused_before(error.status, error.message))
        return _http(await self._proxy.answer(body, self._client(request)))


def _http(made: ProxyAnswer) -> Answer:
    found = answer(made.body, status=made.status)
    if made.retry_after_s is not None:
        found.headers.append((b"retry-after", b"%d" % made.retry_after_s))
    return found
