"""POST /rpc over real sockets on both sides: a client, the API, the pool, scripted nodes that fail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from claim_api.config import Bounds
from claim_api.rpc_part import RpcPart
from claim_api.rpc_proxy import ProxyBounds, RpcProxy
from streams.chain.rpc.config import PoolBounds
from streams.chain.rpc.pool import RpcPool
from tests.scripted_rpc import BAD_ANSWERS, SECRETS, ScriptedNode, served

ONE = {"jsonrpc": "2.0", "id": 7, "method": "getBalance", "params": ["wallet"]}


@dataclass
class Kept:
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)


@asynccontextmanager
async def proxied(
    serve: Any, *nodes: ScriptedNode, bounds: ProxyBounds | None = None, body_s: float = 10.0
) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(served(node))
        pool = RpcPool([node.config for node in nodes], bounds=PoolBounds(breaker_first_s=0.05, breaker_last_s=0.05))
        part = RpcPart(pool, RpcProxy(pool, Kept(), bounds))
        yield await stack.enter_async_context(serve(parts=[part], bounds=Bounds(body_s=body_s)))


async def test_a_call_and_a_batch_go_through_to_a_node(serve: Any) -> None:
    async with proxied(serve, ScriptedNode(name="n1")) as api:
        status, headers, body = await api.raw("/rpc", "POST", json=ONE)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert headers["Cache-Control"] == "no-store"
        assert b'"id":7' in body and b'"by":"n1"' in body
        async with api.session.post(api.base + "/rpc", json=[ONE, ONE | {"id": "b"}]) as answer:
            assert [one["id"] for one in await answer.json()] == [7, "b"]


async def test_it_survives_every_fault_of_its_nodes_and_says_nothing_of_them(serve: Any) -> None:
    node = ScriptedNode(name="provider.example")
    wide = ProxyBounds(client_rate_per_s=1e5, client_burst=1e5, all_rate_per_s=1e5, all_burst=1e5, timeout_s=1.0)
    async with proxied(serve, node, bounds=wide) as api:
        for fault in BAD_ANSWERS:
            node.always = fault
            for asked in (ONE, [ONE, ONE]):
                status, _, body = await api.raw("/rpc", "POST", json=asked)
                assert status == 200
                assert b'"error"' in body
                for secret in (*SECRETS, "provider.example", "127.0.0.1"):
                    assert secret.encode() not in body
        node.always = None
        async with asyncio.timeout(60):
            # A node that asked to be left alone is so for seconds; a call waits for it within its own time.
            while b'"result"' not in (await api.raw("/rpc", "POST", json=ONE))[2]:
                pass


async def test_rate_and_form_are_refused_in_json_rpcs_form(serve: Any) -> None:
    narrow = ProxyBounds(client_rate_per_s=0.01, client_burst=2.0)
    async with proxied(serve, ScriptedNode(name="n1"), bounds=narrow) as api:
        status, _, body = await api.raw("/rpc", "POST", data=b"{}", headers={"content-type": "text/plain"})
        assert status == 415 and b'"code":-32600' in body
        assert (await api.raw("/rpc?a=1", "POST", json=ONE))[0] == 400
        assert (await api.raw("/rpc", "POST", json=ONE))[0] == 200
        assert (await api.raw("/rpc", "POST", data=b"{", headers={"content-type": "application/json"}))[0] == 400
        status, headers, body = await api.raw("/rpc", "POST", json=ONE)
        assert (status, headers["Retry-After"]) == (429, "100")
        assert b'"code":429' in body
        status, headers, _ = await api.raw("/rpc")
        assert (status, headers["Allow"]) == (405, "POST")


async def test_a_body_that_does_not_come_is_refused(serve: Any) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with proxied(serve, ScriptedNode(name="n1"), body_s=0.2) as api:
        status, _, body = await api.raw("/rpc", "POST", data=slow(), headers={"content-type": "application/json"})
        assert status == 408
        assert b'"code":-32600' in body
