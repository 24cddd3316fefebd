"""A landing that the node asked for a marker's history made up, with our own bytes in it: the others deny it."""

from typing import Any

from prometheus_client import CollectorRegistry

from claim_api.chain.port import LandedTransaction, Landing
from claim_api.ledger.moves import Moves
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.settle import Settling
from infra.localnet import Fault
from tests.claims_world import ClaimsWorld


class InventingChain:
    """The chain, but the marker's history has a landing that never was."""

    def __init__(self, world: ClaimsWorld, signature: str, transaction: bytes) -> None:
        self._world, self._signature, self._transaction = world, signature, transaction

    async def landings(self, address: str) -> list[Landing]:
        return [Landing(self._signature, 5, None)]

    async def transaction(self, signature: str) -> LandedTransaction:
        return LandedTransaction(5, None, self._transaction)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.chain, name)


async def test_it_confirms_nothing(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    payer = claims.payer()
    await payer.take()
    row = await claims.owner.fetchrow(
        "select c.marker, a.signature, a.transaction from claims.attempts a join claims.claims c using (claim_id)"
    )
    inventing: Any = InventingChain(claims, row["signature"], row["transaction"])
    settling = Settling(Moves(claims.payer_pool), inventing, PayerMetrics(CollectorRegistry()))
    unsettled = await settling.settle(claim.claim_id, row["marker"])
    assert unsettled is not None and not unsettled.foreign
    assert row["signature"] in unsettled.because
    assert await claims.state(claim) == "signed"
    claims.localnet.faults.clear()
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
