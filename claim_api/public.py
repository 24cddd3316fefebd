"""What anybody may know of the claim side: everybody's sums, and the sums of one wallet.

In: requests without a session, limited by address. Out: JSON. A wallet's answer is amounts only: neither who is bound
to it nor which hours they took part in, for the binding links a wallet to a person on Twitch.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from claim_api.answer import MOVING, Answer, json_answer
from claim_api.counters import Counters
from claim_api.eligibility.find import Finding
from claim_api.eligibility.shown import amount, totals_json
from claim_api.flight import BuiltCache
from claim_api.limits import Limits
from claim_api.request import Request
from claim_api.routing import ANY, Route
from claim_api.wallets.address import checked_wallet

STATS_LIFE_S: Final = 30.0
"""Sums over all seals: asked for at most so often."""


class PublicFigures:
    """GET /v1/stats and /v1/wallets/{wallet}/claimable. clock_s: monotonic."""

    def __init__(self, finding: Finding, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._finding, self._limits, self._clock_s = finding, limits, clock_s
        self._stats: BuiltCache[int, dict[str, Any]] = BuiltCache("stats", 4096, 2, Counters())

    def routes(self) -> Sequence[Route]:
        """See docs/api.md."""
        return (
            Route("stats", "v1/stats", {"GET": self.stats}),
            Route("wallet_claimable", f"v1/wallets/{ANY}/claimable", {"GET": self.wallet}),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Ends a look under way."""
        self._stats.close()

    async def stats(self, request: Request) -> Answer:
        """Everybody's sums, up to STATS_LIFE_S old."""
        request.query(())
        self._limits.take_of_address("public", request)
        found = await self._stats.fetch(int(self._clock_s() // STATS_LIFE_S), self._look)
        return json_answer(found, cache=MOVING)

    async def wallet(self, request: Request, wallet: str) -> Answer:
        """Sums of whoever is bound to that wallet; zeros where nobody is."""
        request.query(())
        self._limits.take_of_address("public", request)
        wallet = checked_wallet(wallet)
        return json_answer({"wallet": wallet, "totals": totals_json(await self._finding.wallet_totals(wallet))})

    async def _look(self) -> tuple[dict[str, Any], int]:
        row = await self._finding.stats()
        found = {
            "channels": row["channels"],
            "epochs": row["epochs"],
            "participations": row["participations"],
            "weight_centi": row["weight_centi"],
            "newest_epoch_start_s": row["newest_epoch_start_s"],
            "claims": {
                "confirmed": row["claims"],
                "claimed": amount(int(row["claimed_base_units"])),
                "pending": amount(int(row["pending_base_units"])),
            },
        }
        return found, 1024
