"""Questions that go to every node: a transaction to be spread, a thing that must be found nowhere.

In: a question and the nodes. Out: for each node its answer, or why there is none; nothing is left out, so that a count
of answers is a count of nodes.
"""

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.chain.rpc import wire
from streams.chain.rpc.endpoint import Endpoint
from streams.chain.rpc.errors import RpcError
from streams.chain.rpc.faults import Elsewhere, Fault
from streams.chain.rpc.race import Answered, Asking, Question


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """What a node said to a transaction. One of signature (base58, as the node says it; the caller knows the true one),
    error (the node refuses it) and missing (no answer, or not asked, and why) is set."""

    name: str
    signature: str | None = None
    error: RpcError | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """answers: results by node, null ones (None) too; missing: by node, why it gave none. Both together are the whole
    pool."""

    answers: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        return len(self.answers)

    @property
    def nodes(self) -> int:
        return len(self.answers) + len(self.missing)


def a_text(raw: bytes) -> str:
    """A result that is some text. Raises msgspec.ValidationError."""
    return msgspec.json.decode(raw, type=str)


async def send(
    asking: Asking,
    endpoints: Sequence[Endpoint],
    ids: Iterator[int],
    transaction: bytes,
    timeout_s: float,
    parse: Callable[[bytes], Any],
) -> list[NodeOutcome]:
    """See RpcPool.send_everywhere. A node that is behind gets it as well: it forwards to the leaders too."""
    config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
    params = [base64.b64encode(transaction).decode(), config]
    outcomes = await asyncio.gather(
        *(_ask(asking, one, next(ids), "sendTransaction", params, timeout_s, parse) for one in endpoints)
    )
    return [_sent(endpoint.name, outcome) for endpoint, outcome in zip(endpoints, outcomes, strict=True)]


def _sent(name: str, outcome: Answered[Any] | RpcError | str) -> NodeOutcome:
    if isinstance(outcome, RpcError):
        return NodeOutcome(name, error=outcome)
    if isinstance(outcome, str):
        return NodeOutcome(name, missing=outcome)
    return NodeOutcome(name, signature=outcome.value)


async def look(
    asking: Asking,
    endpoints: Sequence[Endpoint],
    ids: Iterator[int],
    method: str,
    params: Sequence[Any],
    timeout_s: float,
    parse: Callable[[bytes], Any],
) -> Look:
    """See RpcPool.look_everywhere."""
    found = Look()
    asked = []
    for endpoint in endpoints:
        if endpoint.stale:
            found.missing[endpoint.name] = f"it is {endpoint.lag_slots} slots behind"
        else:
            asked.append(endpoint)
    outcomes = await asyncio.gather(*(_ask(asking, one, next(ids), method, params, timeout_s, parse) for one in asked))
    for endpoint, outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, Answered):
            found.answers[endpoint.name] = outcome.value
        else:
            found.missing[endpoint.name] = str(outcome)
    return found


async def _ask(
    asking: Asking,
    endpoint: Endpoint,
    call_id: int,
    method: str,
    params: Sequence[Any],
    timeout_s: float,
    parse: Callable[[bytes], Any],
) -> Answered[Any] | RpcError | str:
    """One node's result, its error, or why there is none. Waits for the node's rate within the time."""
    question = Question(
        method=method,
        payload=wire.encode(wire.request(call_id, method, params)),
        read=lambda body, cleaned: wire.parsed(wire.result_of(body, call_id, cleaned), parse),
        answer_bytes=asking.bounds.answer_bytes,
    )
    clock = asyncio.get_running_loop().time
    deadline_s = clock() + timeout_s
    while (task := asking.start(endpoint, question, asking.bounds.attempt_s)) is None:
        wait_s = endpoint.ready_in_s(clock(), 1)
        if clock() + wait_s >= deadline_s:  # infinite where it is out
            return endpoint.why_out(clock()) or "not asked"
        asking.counters.waits_for_rate_total += 1
        await asyncio.sleep(wait_s)
    try:
        done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline_s - clock()))
    finally:
        task.cancel()
    if not done or task.cancelled():
        return f"no answer within {timeout_s:g} s"
    outcome = task.result()
    match outcome:
        case Elsewhere():
            return outcome.error
        case Fault():
            return outcome.meaning
    return outcome
