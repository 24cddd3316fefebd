"""A claim whose marker exists on the chain, or that the signer calls paid: which transaction of ours paid it?

In: a claim and its marker. Out: the claim confirmed by that very transaction, found in the marker's history and
compared, byte for byte, with the attempts that we stored; more than half of the nodes that answer must say that it
landed. That a marker exists is no payment by itself.
"""

import logging
from dataclasses import dataclass
from typing import Final

from claim_api.chain.port import Chain
from claim_api.ledger.moves import Moves
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import message_of

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Why the claim is not confirmed. foreign: the marker was made by a transaction that is none of ours, so that none
    of ours can land; else no node knows yet."""

    foreign: bool
    because: str


class Settling:
    """Looks in the history of markers."""

    def __init__(self, moves: Moves, chain: Chain, metrics: PayerMetrics) -> None:
        self._moves, self._chain, self._metrics = moves, chain, metrics

    async def settle(self, claim_id: int, marker: str) -> Unsettled | None:
        """None when the claim is confirmed now (or was already). Raises ChainAway."""
        ours = {message_of(one): attempt for attempt, one in await self._moves.attempts_of(claim_id)}
        landed = [one for one in await self._chain.landings(marker) if one.error is None]
        for landing in reversed(landed):  # the oldest that succeeded made the marker
            found = await self._chain.transaction(landing.signature)
            if found is None or found.error is not None:
                continue
            attempt = ours.get(message_of(found.transaction))
            if attempt is None:
                continue
            # One node has shown it; that it landed, more than half must say, as of every other confirmation.
            [status] = await self._chain.statuses([landing.signature], history=True)
            if status is None or not status.final or status.error is not None:
                return Unsettled(False, f"marker_unknown: too few nodes say that {landing.signature} landed")
            took = await self._moves.confirm_landed(claim_id, attempt, landing.signature, status.slot)
            for took_s in took.values():
                self._metrics.count("confirmed_late")
                self._metrics.lag_s.observe(took_s)
                _log.info("claim %d was paid by attempt %d, found by its marker", claim_id, attempt)
            return None
        if landed:
            because = f"marker_taken: {marker} was made by none of our attempts: {landed[-1].signature}"
            return Unsettled(True, because)
        return Unsettled(False, f"marker_unknown: {marker} exists, and no node knows yet by which transaction")
