"""Claims that went back to their viewer, because an attempt was given up: was one of them paid all the same?

In: reserved claims with an attempt whose fee the server does not pay, the chain. Out: confirmed, where the marker's
history has our transaction. What the server pays is asked of the signer again, which looks before it signs; here nobody
asks until the viewer comes back. Needed only where every node misled us twice; then the ledger must not stay wrong.
"""

import logging
from typing import Final

from claim_api.chain.port import MAX_ACCOUNTS, Chain
from claim_api.ledger.moves import Moves
from claim_api.payer.settle import Settling

_log: Final = logging.getLogger(__name__)


class Returned:
    """One step goes once through all of them."""

    def __init__(self, moves: Moves, chain: Chain, settling: Settling) -> None:
        self._moves, self._chain, self._settling = moves, chain, settling

    async def step(self) -> int:
        """How many were found paid and are confirmed now. Raises ChainAway."""
        confirmed, after = 0, 0
        while page := await self._moves.returned(after, MAX_ACCOUNTS):
            after = page[-1][0]
            accounts = await self._chain.accounts([marker for _, marker in page])
            for (claim_id, marker), account in zip(page, accounts, strict=True):
                if account is None:
                    continue
                unsettled = await self._settling.settle(claim_id, marker)
                if unsettled is None:
                    confirmed += 1
                else:
                    _log.warning("claim %d was given back to its viewer: %s", claim_id, unsettled.because)
        return confirmed
