"""Markers of claims that have been confirmed for a day: their rent comes back to the server's fee payer.

In: the ledger's confirmed claims. Out: transactions of up to eight markers; a claim's rent counts as returned when its
marker is gone at finalized, so that nothing is lost however often this is cut short. A marker stays while any attempt
of its claim may still land, whatever the clock says.
"""

import logging
from collections.abc import Sequence
from typing import Final

from solders.hash import Hash

from claim_api.chain.port import Chain
from claim_api.ledger.moves import Moves
from claim_api.ledger.steps import Crash, Step, no_crash
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from streams.chain import rent, signing

_log: Final = logging.getLogger(__name__)
PAGE: Final = 96
"""Markers of one look: whole transactions of eight, within what one getMultipleAccounts takes."""


class Rent:
    """One step goes once through all markers that are due. rent_after_s: see Pace."""

    def __init__(
        self,
        moves: Moves,
        chain: Chain,
        fee_payer: FeePayer,
        metrics: PayerMetrics,
        rent_after_s: float,
        crash: Crash = no_crash,
    ) -> None:
        self._moves, self._chain, self._fee_payer, self._metrics = moves, chain, fee_payer, metrics
        self._rent_after_s, self._crash = rent_after_s, crash

    async def step(self) -> tuple[int, int]:
        """(markers found gone, markers whose rent was asked back). Raises ChainAway."""
        gone, asked, after = 0, 0, 0
        height = await self._chain.finalized_height()
        while due := await self._moves.markers_due(self._rent_after_s, after, PAGE, height):
            after = due[-1][0]
            accounts = await self._chain.accounts([marker for _, marker, _ in due])
            missing = [claim_id for (claim_id, _, _), one in zip(due, accounts, strict=True) if one is None]
            there = [(seed, one.lamports) for (_, _, seed), one in zip(due, accounts, strict=True) if one is not None]
            gone += len(await self._moves.rent_returned(missing))
            for start in range(0, len(there), rent.MAX_MARKERS):
                await self._take(there[start : start + rent.MAX_MARKERS])
            asked += len(there)
        self._metrics.count("rent_returned", gone)
        return gone, asked

    async def _take(self, markers: Sequence[tuple[str, int]]) -> None:
        recent = await self._chain.latest_blockhash()
        message = rent.build_message(self._fee_payer.address, markers, Hash.from_string(recent.blockhash))
        self._crash(Step.RECLAIMING)
        refusal = await self._chain.send(signing.sign(signing.unsigned(message), self._fee_payer.keypair))
        if refusal is not None:
            _log.warning("the rent of %d markers did not come back: %s", len(markers), refusal)
