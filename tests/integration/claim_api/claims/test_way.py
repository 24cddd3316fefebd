"""A claim's whole way: reserved, signed, stored, sent, confirmed; the chain and the ledger say the same."""

from tests.claims_world import ClaimsWorld


async def test_a_claim_is_paid_once_and_confirmed(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim(7)
    payer = claims.payer()
    assert await payer.take() == 1
    assert await claims.state(claim) == "signed"
    claims.slots(4)
    await payer.look()
    assert await claims.state(claim) == "confirmed"
    assert claims.paid(7) == claim.amount_base_units > 0
    assert await claims.audit(claim) == ["reserve claim", "sign attempt", "store attempt", "confirm claim"]
    row = await claims.owner.fetchrow("select * from claims.claims where claim_id = $1", claim.claim_id)
    landed = await claims.chain.transaction(row["signature"])
    assert landed is not None and landed.error is None and landed.slot == row["slot"]
    assert await payer.take() == 0
    assert await payer.look() == 0
