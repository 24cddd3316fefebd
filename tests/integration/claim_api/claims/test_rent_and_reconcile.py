"""After the payment: a marker's rent comes back, and every confirmed claim is held against the chain."""

from dataclasses import replace

import pytest

from tests.claims_world import QUICK, ClaimsWorld, reconciled


async def test_rent_comes_back_to_the_fee_payer(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.until_confirmed(claim)
    marker = await claims.owner.fetchval("select marker from claims.claims")
    [account] = await claims.chain.accounts([marker])
    assert account is not None
    [before] = await claims.chain.accounts([str(claims.fee_payer.pubkey())])
    assert await payer.payer.rent.step() == (0, 0)  # by the chain's own time the attempt is not out of date yet
    claims.slots(400)
    assert await payer.payer.rent.step() == (0, 1)
    claims.slots(4)
    assert await payer.payer.rent.step() == (1, 0)
    assert await payer.payer.rent.step() == (0, 0)
    [after] = await claims.chain.accounts([str(claims.fee_payer.pubkey())])
    assert before is not None and after is not None
    assert after.lamports == before.lamports + account.lamports - 5000
    assert await claims.owner.fetchval("select rent_returned_at is not null from claims.claims")


async def test_rent_of_a_young_claim_stays(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer(pace=replace(QUICK, rent_after_s=86_400.0))
    await payer.until_confirmed(claim)
    assert await payer.payer.rent.step() == (0, 0)


RECONCILED: dict[str, tuple[str, str]] = {
    "amount": ("update claims.claims set amount_base_units = 5", "allocations sum"),
    "wallet": ("update claims.claims set wallet = 'SysvarC1ock11111111111111111111111111111111'", "not its payment"),
    "signature": ("update claims.claims set signature = repeat('1', 64)", "no node has"),
    "slot": ("update claims.claims set slot = 1", "landed in slot"),
    "marker": ("update claims.claims set marker = 'x'", "its marker is"),
    "unpaid row": ("update claims.claims set state = 'held'", "the supply of"),
}


@pytest.mark.parametrize("what", RECONCILED)
async def test_reconcile_names_each_difference(claims: ClaimsWorld, what: str) -> None:
    statement, words = RECONCILED[what]
    claim = await claims.viewer_with_claim()
    await claims.payer().until_confirmed(claim)
    assert await reconciled(claims) == []
    await claims.owner.execute(statement)
    assert words in " ".join(one.what for one in await reconciled(claims))
