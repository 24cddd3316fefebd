"""JSON-RPC 2.0: bytes of a request in, bytes of an answer out; faults strike here.

A fault that is no answer of JSON-RPC (a status of HTTP, silence) is raised, for the server to act out.
"""

import logging
from typing import Any, Final

import orjson

from infra.localnet.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    LocalnetError,
    RpcError,
    invalid_params,
)
from infra.localnet.faults import Fault
from infra.localnet.methods import CONTROL, READING, SENDING
from infra.localnet.methods.context import Context

log = logging.getLogger(__name__)
STRIKES_BEFORE: Final = frozenset(("http", "error", "timeout"))


class NoAnswer(Exception):
    """A fault that the server acts out on the connection."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind)
        self.fault = fault


class Rpc:
    """Answers calls of one node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counters = context.chain.counters
        self._max_batch = context.chain.options.max_batch
        self._reading = {**READING, **(CONTROL if context.chain.options.faults_by_rpc else {})}

    async def answer(self, body: bytes) -> bytes:
        """One call or a batch. Raises NoAnswer."""
        self._counters.requests_total += 1
        try:
            request = orjson.loads(body)
        except ValueError:
            self._counters.errors_total += 1
            return orjson.dumps(_error(None, RpcError(PARSE_ERROR, "Parse error")))
        if isinstance(request, list):
            if not request or len(request) > self._max_batch:
                self._counters.refused_requests_total += 1
                what = f"a batch of {len(request)} calls; it may be 1 to {self._max_batch}"
                return orjson.dumps(_error(None, RpcError(INVALID_REQUEST, what)))
            return orjson.dumps([await self._call(one) for one in request])
        return orjson.dumps(await self._call(request))

    async def _call(self, request: Any) -> dict[str, Any]:
        self._counters.calls_total += 1
        number = request.get("id") if isinstance(request, dict) else None
        try:
            if not isinstance(request, dict) or not isinstance(method := request.get("method"), str):
                raise RpcError(INVALID_REQUEST, "Invalid request")
            params = request.get("params") or []
            if not isinstance(params, list):
                raise invalid_params("Invalid params: they must be a list")
            return {"jsonrpc": "2.0", "result": await self._run(method, params), "id": number}
        except RpcError as error:
            self._counters.errors_total += 1
            return _error(number, error)
        except LocalnetError as error:
            self._counters.errors_total += 1
            log.error("%s", error)
            return _error(number, RpcError(INTERNAL_ERROR, str(error)))

    async def _run(self, method: str, params: list[Any]) -> Any:
        # The doors to the faults themselves never fail.
        fault = None if method in CONTROL else self._context.faults.strike(method)
        if fault is not None:
            self._counters.faults_total += 1
            if fault.kind == "error":
                raise RpcError(fault.code, fault.message)
            if fault.kind in STRIKES_BEFORE:
                raise NoAnswer(fault)
        if (reading := self._reading.get(method)) is not None:
            return reading(self._context, params)
        if (sending := SENDING.get(method)) is not None:
            return await sending(self._context, params, fault)
        raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _error(number: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.body(), "id": number}
