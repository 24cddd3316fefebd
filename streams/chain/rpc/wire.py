"""JSON-RPC 2.0 as Solana's nodes speak it: requests as bytes, answers read strictly, their errors put in order.

Codes: jsonrpc.org/specification section 5.1, and agave's rpc-client-api/src/custom_error.rs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from streams.chain.rpc.errors import RpcError
from streams.chain.rpc.faults import BEHIND, MALFORMED, MISSHAPEN, RATE_LIMITED, Elsewhere, Fault

FINAL_CODES: Final = frozenset(
    {
        -32002,  # preflight failure
        -32003,  # signature verification
        -32006,  # precompile verification
        -32013,  # signature length
        -32015,  # transaction version
        -32018,  # slot is no epoch boundary
        -32600,  # invalid request
        -32602,  # invalid params
    }
)
"""Of the call itself: every node would say the same."""
BEHIND_CODE: Final = -32005
RATE_CODES: Final = frozenset({429, -32429, -32029})
"""What public nodes and providers say with status 200 instead of HTTP's 429."""
MIN_CONTEXT_AT: Final[Mapping[str, int]] = {
    "getAccountInfo": 1,
    "getBalance": 1,
    "getBlockHeight": 0,
    "getEpochInfo": 0,
    "getFeeForMessage": 1,
    "getLatestBlockhash": 0,
    "getMultipleAccounts": 1,
    "getSignaturesForAddress": 1,
    "getSlot": 0,
    "getTokenAccountsByOwner": 2,
    "isBlockhashValid": 1,
    "sendTransaction": 1,
    "simulateTransaction": 1,
}
"""Methods that know minContextSlot, and which of their params holds it."""

T = TypeVar("T")
Cleaned = Callable[[RpcError], RpcError]
"""Takes out of a node's error what only the pool may know."""


class _Error(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Answer(msgspec.Struct):
    jsonrpc: str = ""
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


_one: Final = msgspec.json.Decoder(_Answer)
_many: Final = msgspec.json.Decoder(list[_Answer])


def request(call_id: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": list(params)}


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def with_min_context_slot(method: str, params: Sequence[Any], slot: int) -> list[Any]:
    """The params with minContextSlot in them. Raises ValueError for a method that does not know it, where the node
    would pass over it in silence."""
    at = MIN_CONTEXT_AT.get(method)
    if at is None or not at <= len(params) <= at + 1:
        raise ValueError(
            f"{method} with {len(params)} params takes no minContextSlot; methods: {sorted(MIN_CONTEXT_AT)}"
        )
    config = dict(params[at]) if len(params) > at and params[at] is not None else {}
    return [*params[:at], config | {"minContextSlot": slot}]


def result_of(body: bytes, call_id: int, cleaned: Cleaned) -> bytes:
    """The result as its JSON bytes, which are well-formed. Raises RpcError, Elsewhere, Fault."""
    answer = _decoded(_one, body)
    if isinstance(answer.error, _Error) and answer.id is None:
        # No id could be read, says the node; a gateway before it says so of its own errors.
        raise (
            _sorted_out(answer.error, cleaned) if answer.error.code in RATE_CODES else Fault(MALFORMED, detail="no id")
        )
    return _result(answer, call_id, cleaned)


def parsed(raw: bytes, parse: Callable[[bytes], T]) -> T:
    """A result as its caller wants it. Raises Fault, which blames the node, whatever parse raises: what it says may
    quote the answer, and stays here."""
    try:
        return parse(raw)
    except Exception:  # noqa: BLE001 - libraries raise many things over bytes that somebody else made
        raise Fault(MISSHAPEN) from None


def results_of(body: bytes, call_ids: Sequence[int], cleaned: Cleaned) -> list[bytes | RpcError]:
    """Of a batch, in the order of the ids whatever order they came in. Raises Elsewhere, Fault; RpcError where the
    whole batch was refused."""
    if body.lstrip()[:1] == b"{":
        answer = _decoded(_one, body)
        if answer.error is None:
            raise Fault(MALFORMED, detail="one answer to a batch")
        raise _sorted_out(answer.error, cleaned)
    by_id = {answer.id: answer for answer in _decoded(_many, body)}
    results: list[bytes | RpcError] = []
    elsewhere: Elsewhere | None = None
    for call_id in call_ids:
        found = by_id.get(call_id)
        if found is None:
            raise Fault(MALFORMED, detail="an answer is missing")
        try:
            results.append(_result(found, call_id, cleaned))
        except RpcError as error:
            results.append(error)
        except Elsewhere as fault:
            elsewhere = elsewhere or fault
            results.append(fault.error)
    if elsewhere is not None:
        raise Elsewhere(elsewhere.error, kind=elsewhere.kind, blames=elsewhere.blames, instead=results)
    return results


def _result(answer: _Answer, call_id: int, cleaned: Cleaned) -> bytes:
    # A string of the same digits is another id, and `1` equals True for Python alone.
    if answer.jsonrpc != "2.0" or type(answer.id) is not int or answer.id != call_id:
        raise Fault(MALFORMED, detail="not to this call")
    if answer.error is not None:
        raise _sorted_out(answer.error, cleaned)
    if answer.result is msgspec.UNSET:
        raise Fault(MALFORMED, detail="neither result nor error")
    raw = bytes(answer.result)
    _decoded(msgspec.json.Decoder(Any), raw)  # Raw has looked at the brackets only
    return raw


def _sorted_out(error: _Error, cleaned: Cleaned) -> Exception:
    made = cleaned(RpcError(error.code, error.message, error.data))
    if error.code in FINAL_CODES:
        return made
    if error.code in RATE_CODES:
        return Fault(RATE_LIMITED, blames=False, rest_s=0.0)
    if error.code == BEHIND_CODE:
        return Elsewhere(made, kind=BEHIND, blames=True)
    return Elsewhere(made)


def _decoded(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    # MemoryError aside, everything that a body can do to the decoder; depth is one of it.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Fault(MALFORMED) from None
