"""A stranger begins a viewer's claim as an action and sends lamports to its marker's address, so that it can never
land; the operator takes them away, and the claim is paid. A marker that a payment made is never taken."""

from typing import Any

import pytest
from solders.pubkey import Pubkey

from claim_api.ledger.errors import LedgerError
from claim_api.ledger.rows import Claim
from claim_api.payer.door import Act, Given
from claim_api.payer.freeing import Freeing, alone
from infra.localnet import Fault
from streams.chain import signing
from tests.claims_world import ClaimsWorld, PayerHere, reconciled

RENT_LAMPORTS = 890_880
"""As much as a payment would put there."""


def give(claims: ClaimsWorld, to: str, lamports: int) -> None:
    claims.localnet.chain.land(claims.localnet.chain.airdrop(Pubkey.from_string(to), lamports))
    claims.slots(4)


async def marker_of(claims: ClaimsWorld) -> str:
    return str(await claims.owner.fetchval("select marker from claims.signer_claims"))


async def begun(claims: ClaimsWorld) -> tuple[Claim, bytes]:
    """The claim as an action, and the bytes that a stranger is given."""
    claim = await claims.viewer_with_claim(7, fee="action")
    give(claims, str(claims.wallets[7].pubkey()), 10**9)
    given = await claims.payer().payer.door.answer(Act(claim.claim_id))
    assert isinstance(given, Given)
    return claim, given.transaction


async def blocked(claims: ClaimsWorld, lamports: int = RENT_LAMPORTS) -> tuple[Claim, PayerHere]:
    claim, _ = await begun(claims)
    give(claims, await marker_of(claims), lamports)
    payer = claims.payer()
    await payer.look()
    claims.slots(2)
    await payer.look()
    assert str(await claims.held_because(claim)).startswith("marker_taken: ")
    return claim, payer


async def retried(claims: ClaimsWorld, claim: Claim) -> bool:
    """As the command does it."""

    async def wait() -> None:
        claims.slots(4)

    async with alone(claims.owner):
        freeing = Freeing(claims.owner, claims.chain, claims.fee_payer, claims.authority.pubkey(), wait)
        taken = await freeing.free(claim.claim_id)
        await claims.retry(claim)
    return taken


async def lamports_at(claims: ClaimsWorld, address: str) -> int:
    claims.slots(4)
    [account] = await claims.chain.accounts([address])
    return 0 if account is None else account.lamports


@pytest.mark.parametrize("lamports", [RENT_LAMPORTS, 5_000_000])
async def test_the_attack_and_the_mend(claims: ClaimsWorld, lamports: int) -> None:
    claim, payer = await blocked(claims, lamports)
    marker = await marker_of(claims)
    # What was signed may still land, were the marker gone.
    with pytest.raises(LedgerError, match="may still land until block"):
        await retried(claims, claim)
    assert await claims.state(claim) == "held" and await lamports_at(claims, marker) == lamports
    claims.slots(400)
    assert await retried(claims, claim) is True
    assert await lamports_at(claims, marker) == 0
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert await lamports_at(claims, marker) == RENT_LAMPORTS
    assert await reconciled(claims) == []
    assert "take marker" in await claims.audit(claim)


async def test_a_retry_that_takes_nothing_finds_the_marker_taken_again(claims: ClaimsWorld) -> None:
    """Not paid: the stranger's transaction is none of the claim's; nor signed for again while the marker is there."""
    claim, payer = await blocked(claims)
    claims.slots(400)
    await claims.retry(claim)
    await payer.take()
    assert str(await claims.held_because(claim)).startswith("marker_taken: ")
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


async def test_what_a_payment_made_is_never_taken(claims: ClaimsWorld) -> None:
    """The claim is held as if a stranger had made its marker, as a node that lagged may have it; it was paid."""
    claim, transaction = await begun(claims)
    assert await claims.chain.send(signing.sign(transaction, claims.wallets[7])) is None
    claims.slots(400)
    await claims.owner.execute("update claims.claims set state = 'held', held_because = 'marker_taken: it says'")
    marker = await marker_of(claims)
    give(claims, marker, 1)  # a stranger's transaction, too, stands in its history
    assert await retried(claims, claim) is False
    assert await lamports_at(claims, marker) == RENT_LAMPORTS + 1
    payer = claims.payer()
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


async def test_a_payment_that_the_books_have_forgotten_is_known_by_its_signer(claims: ClaimsWorld) -> None:
    claim, transaction = await begun(claims)
    assert await claims.chain.send(signing.sign(transaction, claims.wallets[7])) is None
    claims.slots(400)
    await claims.owner.execute(
        "update claims.claims set state = 'held', held_because = 'marker_taken: it says';"
        "update claims.attempts set fate = 'expired', decided_at = now();"
        "alter table claims.signer_attempts disable trigger all; update claims.signer_attempts set message = 'x';"
        "alter table claims.attempts disable trigger all; delete from claims.attempts;"
    )
    marker = await marker_of(claims)
    assert await retried(claims, claim) is False
    assert await lamports_at(claims, marker) == RENT_LAMPORTS


async def test_a_taking_that_may_still_land_is_waited_for(claims: ClaimsWorld) -> None:
    """Else it could land after the payment, and take the payment's marker."""
    claim, payer = await blocked(claims)
    claims.slots(400)
    claims.localnet.faults.set("sendTransaction", Fault("drop"))

    async def cut_short() -> None:
        raise KeyboardInterrupt

    freeing = Freeing(claims.owner, claims.chain, claims.fee_payer, claims.authority.pubkey(), cut_short)
    with pytest.raises(KeyboardInterrupt):
        async with alone(claims.owner):
            await freeing.free(claim.claim_id)
    with pytest.raises(LedgerError, match="earlier taking"):
        await retried(claims, claim)
    with pytest.raises(LedgerError, match="earlier taking"):
        claims.slots(100)
        await retried(claims, claim)
    claims.localnet.faults.clear()
    claims.slots(300)
    assert await retried(claims, claim) is True
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units


async def test_a_taking_that_never_lands_ends(claims: ClaimsWorld) -> None:
    claim, _ = await blocked(claims)
    claims.slots(400)
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    with pytest.raises(LedgerError, match="is still there"):
        await retried(claims, claim)
    assert await claims.state(claim) == "held"


async def test_another_fee_payer_takes_nothing(claims: ClaimsWorld) -> None:
    claim, _ = await blocked(claims)
    claims.slots(400)
    claims.fee_payer = claims.authority
    with pytest.raises(LedgerError, match="is not the base"):
        await retried(claims, claim)


async def test_more_landings_than_can_be_compared_are_looked_at_by_hand(claims: ClaimsWorld) -> None:
    claim, payer = await blocked(claims)
    marker = await marker_of(claims)
    for lamports in range(1, 51):
        claims.localnet.chain.land(claims.localnet.chain.airdrop(Pubkey.from_string(marker), lamports))
    claims.slots(400)
    with pytest.raises(LedgerError, match="cannot be known from its 51 transactions"):
        await retried(claims, claim)
    await claims.retry(claim)
    await payer.take()
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


async def test_a_transaction_that_no_node_gives_is_not_concluded_from(claims: ClaimsWorld) -> None:
    claim, _ = await blocked(claims)
    claims.slots(400)

    class Forgetful:
        async def transaction(self, signature: str) -> None:
            return None

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real, forgetful = claims.chain, Forgetful()
    claims.chain = forgetful
    with pytest.raises(LedgerError, match="cannot be known"):
        await retried(claims, claim)
