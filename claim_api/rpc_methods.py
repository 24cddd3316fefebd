"""What may be asked through POST /rpc, what it costs, and what a request must look like.

In: one JSON-RPC request as bytes. Out: a call that is safe to pass on, or the JSON-RPC error that says why not.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

METHOD_COSTS: Final[Mapping[str, int]] = {
    "getAccountInfo": 1,
    "getBalance": 1,
    "getBlockHeight": 1,
    "getBlockTime": 1,
    "getEpochInfo": 1,
    "getFeeForMessage": 1,
    "getGenesisHash": 1,
    "getHealth": 1,
    "getLatestBlockhash": 1,
    "getMinimumBalanceForRentExemption": 1,
    "getMultipleAccounts": 5,
    "getRecentPrioritizationFees": 2,
    "getSignatureStatuses": 2,
    "getSignaturesForAddress": 5,
    "getSlot": 1,
    "getTokenAccountBalance": 1,
    "getTokenAccountsByOwner": 5,
    "getTokenSupply": 1,
    "getTransaction": 3,
    "isBlockhashValid": 1,
    "sendTransaction": 5,
    "simulateTransaction": 5,
}
"""All that a wallet and a claim page need, in tokens of the client's bucket. Nothing that scans (getProgramAccounts,
getLargestAccounts), nothing that names the node (getVersion, getIdentity, getClusterNodes)."""

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
PARSE_ERROR: Final = -32700

MAX_DEPTH: Final = 6
MAX_VALUES: Final = 512
"""Of all params together; getSignatureStatuses takes 256 signatures and getMultipleAccounts 100 addresses."""
MAX_TEXT_CHARACTERS: Final = 8192
"""Of one string. A transaction has at most 1,232 bytes, which are 1,644 characters of base64; the next version's 4,096
are 5,464."""
MAX_ID_CHARACTERS: Final = 64


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: str
    method: str
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    params: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Refused(Exception):
    """A request that is not passed on. call_id: whose answer this is, None where it could not be read."""

    def __init__(self, call_id: int | str | None, code: int, message: str) -> None:
        super().__init__(message)
        self.call_id, self.code, self.message = call_id, code, message


class Call(msgspec.Struct, frozen=True):
    """A request that may be passed on."""

    call_id: int | str
    method: str
    params: list[Any]

    @property
    def cost(self) -> int:
        return METHOD_COSTS[self.method]


_asked: Final = msgspec.json.Decoder(_Asked)


def read_call(raw: bytes | msgspec.Raw) -> Call:
    """The call of a JSON object. Raises Refused. A notification, which nobody would hear the answer of, is refused."""
    try:
        asked = _asked.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refused(None, INVALID_REQUEST, "not a JSON-RPC 2.0 request of jsonrpc, id, method, params") from None
    call_id = asked.id
    if call_id is None or isinstance(call_id, msgspec.UnsetType):
        raise Refused(None, INVALID_REQUEST, "the request has no id; give a number or a string")
    if len(str(call_id)) > MAX_ID_CHARACTERS:
        raise Refused(None, INVALID_REQUEST, f"the id has more than {MAX_ID_CHARACTERS} characters")
    if asked.jsonrpc != "2.0":
        raise Refused(call_id, INVALID_REQUEST, 'jsonrpc must be "2.0"')
    if asked.method not in METHOD_COSTS:
        raise Refused(call_id, METHOD_NOT_FOUND, "this method is not passed on; the allowed ones are in docs/rpc.md")
    params = [] if isinstance(asked.params, msgspec.UnsetType) else asked.params
    why = _unfit(params)
    if why is not None:
        raise Refused(call_id, INVALID_PARAMS, why)
    return Call(call_id, asked.method, params)


def _unfit(params: list[Any]) -> str | None:
    """Why the params are not passed on."""
    waiting: list[tuple[Any, int]] = [(params, 1)]
    values = 0
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if values + len(waiting) > MAX_VALUES + 1:
            return f"params hold more than {MAX_VALUES} values"
        if depth > MAX_DEPTH:
            return f"params are nested deeper than {MAX_DEPTH}"
        match value:
            case str() if len(value) > MAX_TEXT_CHARACTERS:
                return f"a string of params has more than {MAX_TEXT_CHARACTERS} characters"
            case int() if not -(2**63) <= value < 2**64:
                return "a number of params does not fit 64 bits"
            case list() if len(value) > MAX_VALUES:
                return f"params hold more than {MAX_VALUES} values"
            case list():
                waiting += ((one, depth + 1) for one in value)
            case dict() if len(value) > MAX_VALUES or any(len(key) > MAX_ID_CHARACTERS for key in value):
                return "an object of params has too many or too long names"
            case dict():
                waiting += ((one, depth + 1) for one in value.values())
    return None
