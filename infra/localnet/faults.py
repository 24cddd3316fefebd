"""What goes wrong on purpose: for tests of those who use a node.

In process: `localnet.faults`. From outside: the methods twzrd_*, only where the cluster was started with --faults.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

from infra.localnet.blockhashes import MAX_AGE
from infra.localnet.errors import invalid_params

KINDS: Final = {
    "http": "an answer with an HTTP status instead (`status`, 503 by default; 429 says Retry-After)",
    "error": "a JSON-RPC error instead (`code`, `message`)",
    "timeout": "no answer: the connection is closed after `after_ms`",
    "drop": "sendTransaction says yes, and the transaction is lost",
    "deny": "sendTransaction says no (an internal error), and the transaction lands",
    "late": "sendTransaction says yes, and the transaction lands `slots` later, if it still can",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. rate: how many of the calls it strikes, 0 to 1; times: at most so many, None without end."""

    kind: str
    rate: float = 1.0
    times: int | None = None
    status: int = 503
    code: int = -32603
    message: str = "Internal error"
    after_ms: int = 30_000
    slots: int = 5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise invalid_params(f"fault kind {self.kind!r}; it may be {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise invalid_params(f"fault rate {self.rate}; it may be 0 to 1")
        if not (self.status == 429 or 500 <= self.status <= 599):
            raise invalid_params(f"fault status {self.status}; it may be 429, or 500 to 599")
        if not 0 <= self.after_ms <= 600_000:
            raise invalid_params(f"fault after_ms {self.after_ms}; it may be 0 to 600000")
        if not 1 <= self.slots <= 2 * MAX_AGE:
            raise invalid_params(f"fault slots {self.slots}; it may be 1 to {2 * MAX_AGE}")


class Faults:
    """Rules by method ("*": every method), and how far the node lags behind its cluster, in slots."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._rules: dict[str, Fault] = {}
        self._left: dict[str, int] = {}
        self.lag_slots = 0
        self.struck_total = 0

    def set(self, method: str, fault: Fault | None) -> None:
        """From now on calls of this method meet this fault; None ends it."""
        self._rules.pop(method, None)
        self._left.pop(method, None)
        if fault is not None:
            self._rules[method] = fault
            if fault.times is not None:
                self._left[method] = fault.times

    def lag(self, slots: int) -> None:
        """The node shows the chain as it was so many slots ago. Raises RpcError."""
        if not 0 <= slots <= MAX_AGE:
            raise invalid_params(f"a lag of {slots} slots; it may be 0 to {MAX_AGE}")
        self.lag_slots = slots

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._rules.clear()
        self._left.clear()
        self.lag_slots = 0

    def strike(self, method: str) -> Fault | None:
        """The fault that this call meets."""
        if not self._rules:
            return None
        name = method if method in self._rules else "*"
        fault = self._rules.get(name)
        if fault is None or self._left.get(name) == 0 or self._random.random() >= fault.rate:
            return None
        if name in self._left:
            self._left[name] -= 1
        self.struck_total += 1
        return fault

    def shown(self) -> dict[str, Any]:
        """What is set."""
        return {"lag_slots": self.lag_slots, "rules": {name: rule.kind for name, rule in self._rules.items()}}
