"""The watch over the nodes: each is asked for its slot every few seconds, so that a node that is behind, slow or gone
is known before a call finds out, and one that is back is used again.

In: answers to getSlot. Out: slot and lag of each endpoint; latency and breaker learn as from any request.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from streams.chain.rpc import wire
from streams.chain.rpc.endpoint import Endpoint
from streams.chain.rpc.errors import RpcError
from streams.chain.rpc.faults import MALFORMED, Elsewhere, Fault
from streams.chain.rpc.race import Answered, Asking, Question

logger: Final = logging.getLogger(__name__)

METHOD: Final = "getSlot"
PARAMS: Final = ({"commitment": "confirmed"},)
ANSWER_BYTES: Final = 4096
FRESH_ROUNDS: Final = 3
"""Nobody is behind a slot that was seen longer ago."""


class HealthLoop:
    """One for a pool."""

    def __init__(self, endpoints: Sequence[Endpoint], asking: Asking, ids: Iterator[int]) -> None:
        self._endpoints, self._asking, self._ids = endpoints, asking, ids

    async def run(self) -> None:
        """Looks until it is cancelled; nothing else ends it."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the watch outlives whatever it meets
                self._asking.counters.faults_total += 1
                logger.error("watch of the RPC nodes: %s", type(error).__name__)
            # Not all processes at once.
            await asyncio.sleep(self._asking.bounds.probe_every_s * (0.75 + self._asking.chance() / 2))

    async def look(self) -> None:
        """One round."""
        before = {one.name: one.why_out(_now_s()) for one in self._endpoints}
        await asyncio.gather(*(self._probe(one) for one in self._endpoints))
        self._compare()
        for one in self._endpoints:
            after = one.why_out(_now_s())
            if (before[one.name] is None) != (after is None):
                logger.warning("RPC node %s: %s", one.name, after or "it is asked again")

    async def _probe(self, endpoint: Endpoint) -> None:
        call_id = next(self._ids)
        question = Question(
            method=METHOD,
            payload=wire.encode(wire.request(call_id, METHOD, PARAMS)),
            read=lambda body, cleaned: _slot(body, call_id, cleaned),
            answer_bytes=ANSWER_BYTES,
        )
        task = self._asking.start(endpoint, question, self._asking.bounds.probe_s)
        if task is None:  # its breaker is open, or its rate is used up by calls, which say as much
            return
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        outcome = None if task.cancelled() else task.result()
        if isinstance(outcome, Answered):
            endpoint.slot, endpoint.slot_at_s = outcome.value, _now_s()

    def _compare(self) -> None:
        since_s = _now_s() - FRESH_ROUNDS * self._asking.bounds.probe_every_s
        fresh = [one for one in self._endpoints if one.slot is not None and one.slot_at_s >= since_s]
        best = max((one.slot for one in fresh if one.slot is not None), default=0)
        for one in self._endpoints:
            # Of one that has not answered lately as well: it is where it was seen, or that is the best guess.
            one.lag_slots = max(0, best - one.slot) if one.slot is not None else None


def _slot(body: bytes, call_id: int, cleaned: wire.Cleaned) -> int:
    """The slot. Every error is the node's fault here: there is no caller who could have asked amiss."""
    try:
        slot = msgspec.json.decode(wire.result_of(body, call_id, cleaned))
    except RpcError as error:
        raise Fault(MALFORMED, detail=str(error.code)) from None
    except Elsewhere as fault:
        raise Fault(fault.kind, detail=str(fault.error.code)) from None
    if type(slot) is not int or not 0 <= slot < 2**63:
        raise Fault(MALFORMED, detail="no slot")
    return slot


def _now_s() -> float:
    return asyncio.get_running_loop().time()
