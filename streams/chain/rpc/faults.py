"""What goes wrong with one node, inside the pool: kind for the counters, and what the pool has to learn of it.

A Fault never leaves the pool. It is made of our own words, never of a library's message, which may hold the address.
"""

from typing import Any, Final

from streams.chain.rpc.errors import RpcError

OK: Final = "ok"
ERROR: Final = "error"
LOST: Final = "lost"
"""Cancelled, since another node was first or the caller left."""

TIMEOUT: Final = "timeout"
UNREACHABLE: Final = "unreachable"
CUT: Final = "cut"
RATE_LIMITED: Final = "rate_limited"
SERVER_ERROR: Final = "http_5xx"
REFUSED: Final = "http_other"
MALFORMED: Final = "malformed"
MISSHAPEN: Final = "misshapen"
OVERSIZED: Final = "oversized"
BEHIND: Final = "behind"
ELSEWHERE: Final = "elsewhere"
INTERNAL: Final = "internal"

MEANINGS: Final = {
    TIMEOUT: "no answer in time",
    UNREACHABLE: "no connection",
    CUT: "the connection ended in the middle",
    RATE_LIMITED: "it asks for fewer requests",
    SERVER_ERROR: "it answers that it is broken",
    REFUSED: "it refuses us; see to its key",
    MALFORMED: "its answer is not JSON-RPC, or not to this call",
    MISSHAPEN: "its result has not the shape of the method's",
    OVERSIZED: "its answer is over the bound",
    BEHIND: "it is behind",
    ELSEWHERE: "it cannot answer this; others might",
    INTERNAL: "the pool failed on it; see the log",
}


class Fault(Exception):
    """One node did not answer the call. blames: counts against the node's breaker. rest_s: how long it asked to be
    left alone, 0 where it did not say, None where it did not ask."""

    def __init__(self, kind: str, *, blames: bool = True, rest_s: float | None = None, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.blames, self.rest_s = kind, blames, rest_s
        self.meaning = MEANINGS[kind] + (f" ({detail})" if detail else "")


class Elsewhere(Fault):
    """The node's answer is an error that another node may not give. error: what to raise when none does better;
    instead: what to return then, for a batch whose other members have results."""

    def __init__(self, error: RpcError, *, kind: str = ELSEWHERE, blames: bool = False, instead: Any = None) -> None:
        super().__init__(kind, blames=blames, detail=str(error.code))
        self.error, self.instead = error, instead
