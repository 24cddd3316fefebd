"""A Solana RPC node as far as the pool asks it, over real HTTP on 127.0.0.1, with faults on demand.

Answers each method with what it was asked, so that a test can tell a right answer from another call's. Tests queue
`faults` (one for each request to come) or set `always`; `asked` tells what came. `moved` moves the loop's own clock, so
that no test waits for a time-out, a breaker or a refill.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from streams.chain.rpc.config import EndpointConfig, PoolBounds
from streams.chain.rpc.pool import RpcPool

KEY = "k3y-0f-the-pr0vider-7f3a"
QUERY_KEY = "qu3ry-k3y-0f-the-pr0vider"
USER_KEY = "us3r-k3y-0f-the-pr0vider"
SECRETS = (KEY, QUERY_KEY, USER_KEY)
PROBE = "getSlot"

Fault = str | int | bytes | dict[str, Any]
"""A name of FAULTS, an HTTP status, a body, or an error object."""


class Time:
    """The running loop's clock, which a test can move on. Timers that are due then fire at the loop's next step."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._real, self._ahead_s = self._loop.time, 0.0
        self._loop.time = lambda: self._real() + self._ahead_s  # type: ignore[method-assign]

    def move(self, seconds: float) -> None:
        self._ahead_s += seconds

    async def move_until(self, done: Callable[[], bool], step_s: float = 0.1, most_s: float = 600.0) -> float:
        """Moves on in steps until that is so, letting all run in between; says how long it took."""
        moved_s = 0.0
        while not done():
            assert moved_s < most_s, "never came about"
            self.move(step_s)
            moved_s += step_s
            await settle()
        return moved_s


async def settle(steps: int = 20) -> None:
    """Lets whatever is ready run, sockets of this process included."""
    for _ in range(steps):
        await asyncio.sleep(0)


@dataclass
class ScriptedNode:
    """One node. slot: what getSlot says."""

    name: str = ""
    slot: int = 1000
    always: Fault | None = None
    faults: deque[Fault] = field(default_factory=deque)
    chosen: Callable[[], Fault | None] = lambda: None
    """Says the fault of a request when neither of the others does."""
    probes_too: bool = True
    """Whether faults hit getSlot as well."""
    retry_after: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    held: int = 0
    """Requests that hang now."""
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    rate_per_s: float = 10_000.0
    burst: float = 10_000.0

    @property
    def config(self) -> EndpointConfig:
        return EndpointConfig(url=self.url, name=self.name, rate_per_s=self.rate_per_s, burst=self.burst)

    def methods(self, *, probes: bool = False) -> list[str]:
        return [one["method"] for one in self.asked if probes or one["method"] != PROBE]

    def params(self, method: str) -> list[Any]:
        """Of the last such request."""
        found: list[Any] = [one["params"] for one in self.asked if one["method"] == method][-1]
        return found

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert KEY in request.path and request.query.get("api-key") == QUERY_KEY, "the key did not come along"
        payload = orjson.loads(await request.read())
        calls = payload if isinstance(payload, list) else [payload]
        self.asked += calls
        probe = calls[0]["method"] == PROBE
        fault: Fault | None = None
        if self.probes_too or not probe:
            fault = self.faults.popleft() if self.faults else self.always
            fault = self.chosen() if fault is None else fault
        if fault is not None:
            return await self._fault(request, payload, fault)
        answers = [self._result(one) for one in calls]
        answers.reverse()  # a batch's answers may come in any order
        return _json(answers if isinstance(payload, list) else answers[0])

    def _result(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == PROBE:
            result: Any = self.slot
        elif call["method"] in self.results:
            result = self.results[call["method"]]
            if isinstance(result, dict) and "code" in result:
                return {"jsonrpc": "2.0", "id": call["id"], "error": result}
        else:
            result = {"by": self.name, "method": call["method"], "params": call["params"]}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    async def _fault(self, request: web.Request, payload: Any, fault: Fault) -> web.StreamResponse:
        headers = {} if self.retry_after is None else {"retry-after": self.retry_after}
        call = payload[0] if isinstance(payload, list) else payload
        match fault:
            case bytes():
                return web.Response(body=fault, content_type="application/json")
            case int():
                # Gateways like to say the key they refuse.
                return web.Response(status=fault, text=f"<html>{KEY} {fault}</html>", headers=headers)
            case dict():
                return _json({"jsonrpc": "2.0", "id": call["id"], "error": fault})
            case "hang":
                self.held += 1
                self.waiting.set()
                try:
                    await self.release.wait()
                finally:
                    self.held -= 1
                return _json(self._result(call))
            case "drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "cut" | "drip":
                answer = web.StreamResponse(headers={"content-length": "5000"})
                await answer.prepare(request)
                await answer.write(b'{"jsonrpc":"2.0","id":')
                assert request.transport is not None
                if fault == "cut":
                    request.transport.abort()
                else:
                    self.waiting.set()
                    await self.release.wait()
                return answer
            case "endless":
                answer = web.StreamResponse()
                await answer.prepare(request)
                try:
                    while not self.release.is_set():
                        await answer.write(b'{"jsonrpc":"2.0","result":"' + b"x" * 65536)
                except (ConnectionError, RuntimeError):
                    pass
                return answer
            case "huge":
                return web.Response(body=b"[" * (9 << 20))
            case str() if fault.startswith("redirect"):
                where = fault.partition(" ")[2] or str(request.url)
                return web.Response(status=307, headers={"location": where})
            case "wrong id":
                return _json(self._result(call | {"id": call["id"] + 1}))
            case "text id":
                return _json(self._result(call | {"id": str(call["id"])}))
            case "no id":
                return _json({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no"}})
            case "neither":
                return _json({"jsonrpc": "2.0", "id": call["id"]})
        raise AssertionError(f"no fault {fault!r}")


BAD_ANSWERS: tuple[Fault, ...] = (
    500, 502, 503, 401, 403, 404, 429, "drop", "cut", "huge", "redirect", "wrong id", "text id", "no id", "neither",
    b"", b"<html>busy</html>", b'{"jsonrpc":"2.0","id":1,"result":', b"[" * 100_000,
    b'{"jsonrpc":"2.0","result":"\xff"}', b"null", b"[]", b'"ok"',
    {"code": -32005, "message": "Node is behind", "data": {"numSlotsBehind": 42}},
    {"code": -32004, "message": "Block not available"}, {"code": -32016, "message": "Minimum context slot"},
    {"code": -32603, "message": "Internal error"}, {"code": -32601, "message": "Method not found"},
    {"code": 429, "message": "Too many requests for a specific RPC call"},
    {"code": -32000, "message": f"plan of {KEY}"},
)  # fmt: skip
"""Faults that answer at once. A call must get past each to another node."""


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


@asynccontextmanager
async def served(node: ScriptedNode) -> AsyncIterator[ScriptedNode]:
    """The node on a free port of 127.0.0.1 while the block runs; its address holds keys wherever one can."""
    runner = web.AppRunner(node.application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{USER_KEY}:{USER_KEY}@{host}:{port}/v2/{KEY}/?api-key={QUERY_KEY}"
    try:
        yield node
    finally:
        node.release.set()
        await runner.cleanup()


@asynccontextmanager
async def pool_of(
    *nodes: ScriptedNode,
    bounds: PoolBounds | None = None,
    before: Sequence[EndpointConfig] = (),
    watch: bool = False,
) -> AsyncIterator[RpcPool]:
    """Nodes n1, n2, … served, and a started pool over them, which leaves nothing behind.
    before: nodes that are not served, the first of the pool."""
    async with AsyncExitStack() as stack:
        for number, node in enumerate(nodes, 1):
            node.name = node.name or f"n{number}"
            await stack.enter_async_context(served(node))
        pool = RpcPool([*before, *(node.config for node in nodes)], bounds=bounds, chance=lambda: 0.0)
        await pool.start(watch=watch)
        try:
            yield pool
        finally:
            await pool.close()
            assert pool.tasks == 0
