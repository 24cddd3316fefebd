"""A claim whose viewer was to pay and whose operator lets the server pay, while an attempt that the viewer pays stands
in the signer's books: it waits until that one is dead."""

from typing import Any

import pytest

from claim_api.ledger.steps import Step
from claim_api.payer.door import Act, Door, PrepareFor, Submit
from claim_api.signer.protocol import Code, Refused, Sign, Wanted
from streams.chain import signing
from tests.claims_parts import Crashed, Crasher
from tests.claims_world import ClaimsWorld, reconciled


@pytest.mark.parametrize("fee", ["viewer", "action"])
async def test_a_retry_right_after_a_death_waits_and_pays_once(claims: ClaimsWorld, fee: Any) -> None:
    claim = await claims.viewer_with_claim(7, fee=fee)
    claims.localnet.chain.land(claims.localnet.chain.airdrop(claims.wallets[7].pubkey(), 10**9))
    claims.slots(4)
    door: Door = claims.payer(crash=Crasher(Step.SIGNED)).payer.door
    if fee == "action":
        with pytest.raises(Crashed):
            await door.answer(Act(claim.claim_id))
    else:
        given: Any = await claims.payer().payer.door.answer(PrepareFor(claim.claim_id))
        with pytest.raises(Crashed):
            await door.answer(Submit(claim.claim_id, signing.sign(given.transaction, claims.wallets[7])))
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1
    assert await claims.owner.fetchval("select count(*) from claims.attempts") == 0

    await claims.retry(claim)
    payer = claims.payer()
    assert await payer.take() == 1
    assert (await claims.state(claim), await claims.held_because(claim)) == ("reserved", None)
    assert payer.metrics.value("mismatches") == 0
    recent = await claims.chain.latest_blockhash()
    wanted = Wanted(claim.claim_id, recent.blockhash, recent.last_valid_block_height)
    [answer] = await claims.signer().ask(Sign([wanted]))
    assert isinstance(answer, Refused) and answer.code is Code.ATTEMPT_ALIVE

    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert payer.metrics.value("mismatches") == 0
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 2
    assert await reconciled(claims) == []
