"""POST /rpc: JSON-RPC for the claim page and for wallets, through the pool, so that no provider's key gets out.

In: a body and who sent it. Out: status, body and Retry-After, always; whatever the nodes or the client do, no exception
leaves and nothing of a node's name or address is said.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from claim_api.rpc_clients import ClientBuckets
from claim_api.rpc_methods import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Call,
    Refused,
    read_call,
)
from streams.chain.rpc.bucket import TokenBucket
from streams.chain.rpc.errors import ChainCallError, DeadlineExceeded, Overloaded, RpcError
from streams.chain.rpc.wire import FINAL_CODES

logger: Final = logging.getLogger("twzrd.api")

RATE_CODE: Final = 429
"""What Solana's public nodes say, and its clients know."""
UNHEALTHY_CODE: Final = -32005
INTERNAL_CODE: Final = -32603
BUSY_S: Final = 2
ELSEWHERE_MESSAGES: Final = {
    -32001: "block is cleaned up",
    -32004: "block is not available",
    -32005: "node is unhealthy",
    -32007: "slot was skipped, or is missing",
    -32009: "slot was skipped, or is missing in long-term storage",
    -32010: "key is excluded from the account secondary indexes",
    -32011: "transaction history is not available",
    -32014: "block status is not yet available",
    -32016: "minimum context slot has not been reached",
    -32601: "the nodes do not know this method",
}
"""Errors that providers word in their own way, said in ours."""


class Pool(Protocol):
    """What the proxy needs of streams.chain.rpc.pool.RpcPool."""

    async def call_raw(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        timeout_s: float | None = None,
        answer_bytes: int | None = None,
    ) -> bytes: ...


class CountsKept(Protocol):
    """Where it counts: by (name, what), names and whats of ours; gauges are read when asked for."""

    @property
    def counts(self) -> Counter[tuple[str, str]]: ...

    @property
    def gauges(self) -> dict[str, Callable[[], float]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyBounds:
    """Every limit of the proxy; each refusal is counted."""

    body_bytes: int = 64 * 1024
    batch_calls: int = 10
    calls_in_flight: int = 64
    answer_bytes: int = 1 << 20
    timeout_s: float = 10.0
    client_rate_per_s: float = 5.0
    client_burst: float = 40.0
    """In costs of METHOD_COSTS."""
    clients: int = 10_000
    all_rate_per_s: float = 100.0
    """Of all clients together, so that they leave the provider's rate to the rest."""
    all_burst: float = 400.0


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """status: 200 with JSON-RPC's own errors in the body; 400, 413, 429 and 503 with one for the whole request."""

    status: int
    body: bytes
    retry_after_s: int | None = None


class RpcProxy:
    """See the module. Serves one loop."""

    def __init__(
        self,
        pool: Pool,
        counters: CountsKept,
        bounds: ProxyBounds | None = None,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._pool, self._counters, self._bounds, self._now_s = pool, counters, bounds or ProxyBounds(), now_s
        bounds = self._bounds
        self._clients = ClientBuckets(bounds.client_rate_per_s, bounds.client_burst, bounds.clients, now_s)
        self._all = TokenBucket(bounds.all_rate_per_s, bounds.all_burst, now_s())
        self._in_flight = 0
        counters.gauges["rpc_calls_in_flight"] = lambda: self._in_flight
        counters.gauges["rpc_clients"] = lambda: len(self._clients)
        counters.gauges["rpc_clients_forgotten"] = lambda: self._clients.forgotten_total

    async def answer(self, body: bytes, client: str) -> ProxyAnswer:
        """client: a session's key, or client_of its address."""
        try:
            return await self._answer(body, client)
        except Exception as error:  # noqa: BLE001 - the original's gateway died of such; this one says so and goes on
            logger.error("POST /rpc: %s", type(error).__name__)
            self._counters.counts["rpc", "fault"] += 1
            return ProxyAnswer(200, _error(None, INTERNAL_CODE, "internal error"))

    def refused_before(self, status: int, message: str) -> ProxyAnswer:
        """An answer of the same form to a request whose body could not be had."""
        return self._refused(status, "no_body", INVALID_REQUEST, message)

    async def _answer(self, body: bytes, client: str) -> ProxyAnswer:
        bounds = self._bounds
        if len(body) > bounds.body_bytes:
            return self._refused(413, "over_body", INVALID_REQUEST, f"the body is over {bounds.body_bytes} bytes")
        pieces = _pieces(body)
        if pieces is None:
            return self._limited(client, 1) or self._refused(400, "not_json", PARSE_ERROR, "the body is not JSON")
        batch = isinstance(pieces, list)
        raws = pieces if isinstance(pieces, list) else [pieces]
        if not 1 <= len(raws) <= bounds.batch_calls:
            message = f"a batch holds 1 to {bounds.batch_calls} requests"
            return self._limited(client, 1) or self._refused(400, "over_batch", INVALID_REQUEST, message)
        read = [_read(raw) for raw in raws]
        cost = sum(one.cost if isinstance(one, Call) else 1 for one in read)
        if cost > bounds.client_burst:
            message = f"the batch costs {cost}, over the bound of {bounds.client_burst:g}; send fewer at once"
            return self._limited(client, 1) or self._refused(400, "over_cost", INVALID_REQUEST, message)
        limited = self._limited(client, cost)
        if limited is not None:
            return limited
        calls = sum(isinstance(one, Call) for one in read)
        if self._in_flight + calls > bounds.calls_in_flight:
            return self._refused(503, "busy", UNHEALTHY_CODE, "too many calls are at work; try again", BUSY_S)
        answers = await self._all_of(read, calls)
        return ProxyAnswer(200, b"[" + b",".join(answers) + b"]" if batch else answers[0])

    async def _all_of(self, read: list[Call | Refused], calls: int) -> list[bytes]:
        self._in_flight += calls
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(one)) for one in read]
            return [task.result() for task in tasks]
        finally:
            self._in_flight -= calls

    async def _one(self, one: Call | Refused) -> bytes:
        if isinstance(one, Refused):
            self._counters.counts["rpc", "refused_call"] += 1
            return _error(one.call_id, one.code, one.message)
        bounds = self._bounds
        self._counters.counts["rpc", "call"] += 1
        try:
            result = await self._pool.call_raw(
                one.method, one.params, timeout_s=bounds.timeout_s, answer_bytes=bounds.answer_bytes
            )
        except RpcError as error:
            self._counters.counts["rpc", "node_error"] += 1
            return _node_error(one.call_id, error)
        except ChainCallError as error:
            self._counters.counts["rpc", "unanswered"] += 1
            return _error(one.call_id, UNHEALTHY_CODE, _unanswered(error))
        except Exception as error:  # noqa: BLE001 - one call of a batch must not take the others with it
            logger.error("POST /rpc, %s: %s", one.method, type(error).__name__)
            self._counters.counts["rpc", "fault"] += 1
            return _error(one.call_id, INTERNAL_CODE, "internal error")
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (msgspec.json.encode(one.call_id), result)

    def _limited(self, client: str, cost: int) -> ProxyAnswer | None:
        wait_s = self._clients.take(client, cost)
        if wait_s <= 0 and not self._all.take(self._now_s(), cost):
            wait_s = self._all.ready_in_s(self._now_s(), cost)
        if wait_s <= 0:
            return None
        message = "too many requests; try again after the seconds in Retry-After"
        return self._refused(429, "rate_limited", RATE_CODE, message, math.ceil(wait_s))

    def _refused(
        self, status: int, bound: str, code: int, message: str, retry_after_s: int | None = None
    ) -> ProxyAnswer:
        self._counters.counts["rpc", bound] += 1
        return ProxyAnswer(status, _error(None, code, message), retry_after_s)


def _pieces(body: bytes) -> list[msgspec.Raw] | bytes | None:
    """The requests of a batch, or the one request; None where the body is not JSON. A body that is JSON but neither
    object nor array is one request, of no known form."""
    try:
        body.decode()
        if body.lstrip()[:1] == b"[":
            return msgspec.json.decode(body, type=list[msgspec.Raw])
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return body


def _read(raw: bytes | msgspec.Raw) -> Call | Refused:
    try:
        return read_call(raw)
    except Refused as refused:
        return refused


def _error(call_id: int | str | None, code: int, message: str, data: Any = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": call_id, "error": error})


def _node_error(call_id: int | str, error: RpcError) -> bytes:
    """An error of the call in the node's words, which are the validator's. Other words may be the provider's."""
    if error.code in FINAL_CODES:
        return _error(call_id, error.code, error.message, error.data)
    message = ELSEWHERE_MESSAGES.get(error.code)
    if message is None:
        return _error(call_id, INTERNAL_CODE, "the nodes could not answer this")
    return _error(call_id, error.code, message)


def _unanswered(error: ChainCallError) -> str:
    match error:
        case DeadlineExceeded():
            return "no node answered in time; try again"
        case Overloaded():
            return "too many calls are at work; try again"
    return "no node answered; try again"
