"""What a call to the chain may end in, besides a result. No message, argument or cause holds more of a node than its
name.
"""

from collections.abc import Mapping
from typing import Any

from schemas.errors import TwzrdError


class RpcConfigError(TwzrdError):
    """The pool cannot be composed this way."""


class ChainCallError(TwzrdError):
    """A call that has no result."""


class RpcError(ChainCallError):
    """A node's answer is an error of the call itself. code: JSON-RPC's or Solana's; data: whatever came with it."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"the node answers {code}: {message}")
        self.code, self.message, self.data = code, message, data


class NoEndpoint(ChainCallError):
    """No node gave an answer. reasons: by the node's name, why not."""

    def __init__(self, method: str, reasons: Mapping[str, str]) -> None:
        named = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        super().__init__(f"{method}: no node answered ({named}); try again, or add nodes to TWZRD_RPC_URLS")
        self.method, self.reasons = method, dict(reasons)


class DeadlineExceeded(ChainCallError):
    """Time was up first. reasons: by the node's name, what became of it until then."""

    def __init__(self, method: str, timeout_s: float, reasons: Mapping[str, str]) -> None:
        named = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        super().__init__(f"{method}: no answer within {timeout_s:g} s ({named}); try again")
        self.method, self.timeout_s, self.reasons = method, timeout_s, dict(reasons)


class Overloaded(ChainCallError):
    """The pool's bound of calls at work is reached; nothing was asked."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(f"{in_flight} calls are at work, which is the bound of the pool; try again")
