"""Viewer pays: the wallet signs first, the authority and the fee payer only what they have taken apart. Actions: only
the marker tells the fate."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.pubkey import Pubkey

from claim_api.ledger.rows import Claim
from claim_api.ledger.steps import Step
from claim_api.payer.door import Act, Door, Given, PayerClient, PrepareFor, Submit, serving_door
from claim_api.signer.protocol import Code, Refused
from streams.chain import signing
from streams.chain.marker import PaidAllocation, marker_seed
from streams.chain.terms import Terms, build_message
from tests.claims_parts import MARKER_SECRET, Crashed, Crasher
from tests.claims_world import ClaimsWorld, PayerHere


async def prepared(payer: PayerHere, claim: Claim) -> bytes:
    answer = await payer.payer.door.answer(PrepareFor(claim.claim_id))
    assert isinstance(answer, Given), answer
    return answer.transaction


async def refused(payer: PayerHere, question: Any) -> Code:
    answer = await payer.payer.door.answer(question)
    assert isinstance(answer, Refused), answer
    return answer.code


async def given(payer: PayerHere, question: Any) -> bytes:
    answer = await payer.payer.door.answer(question)
    assert isinstance(answer, Given), answer
    return answer.transaction


def give_lamports(claims: ClaimsWorld, to: Pubkey) -> None:
    claims.localnet.chain.land(claims.localnet.chain.airdrop(to, 10**9))
    claims.slots(4)


async def viewer_claim(claims: ClaimsWorld, fee: Any = "viewer") -> Claim:
    claim = await claims.viewer_with_claim(7, fee=fee)
    give_lamports(claims, claims.wallets[7].pubkey())
    return claim


async def own_transaction(claims: ClaimsWorld, claim: Claim, **changes: Any) -> bytes:
    """As a wallet with a mind of its own would make it, who knows the marker's seed."""
    paid = [PaidAllocation(one.channel, one.epoch_start_s, one.revision) for one in claim.allocations]
    wallet = claims.wallets[7].pubkey()
    values: dict[str, Any] = {
        "fee_payer": wallet,
        "server_fee_payer": claims.fee_payer.pubkey(),
        "wallet": wallet,
        "mint": claims.mint,
        "authority": claims.authority.pubkey(),
        "source": "mint",
        "amount_base_units": claim.amount_base_units,
        "marker_seed": marker_seed(MARKER_SECRET, 7, paid),
        "marker_lamports": 890_880,
        "compute_unit_price_micro_lamports": 1_000,
    }
    recent = Hash.from_string((await claims.chain.latest_blockhash()).blockhash)
    message = build_message(Terms(**{**values, **changes}), recent)
    return signing.sign(signing.unsigned(message), claims.wallets[7])


async def test_the_wallet_signs_first_and_pays(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims)
    payer = claims.payer()
    assert await payer.take() == 0  # nothing is signed for before the wallet has
    transaction = await prepared(payer, claim)
    assert await claims.owner.fetchval("select count(*) from claims.signer_claims") == 0
    signed = signing.sign(transaction, claims.wallets[7])
    await given(payer, Submit(claim.claim_id, signed))
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert await refused(payer, Submit(claim.claim_id, signed)) is Code.WRONG_STATE


async def test_submitted_twice_is_stored_once(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims)
    payer = claims.payer()
    signed = signing.sign(await prepared(payer, claim), claims.wallets[7])
    claims.slots(3)
    other = signing.sign(await prepared(payer, claim), claims.wallets[7])
    submit = Submit(claim.claim_id, signed)
    assert await given(payer, submit) == await given(payer, submit)
    assert await refused(payer, Submit(claim.claim_id, other)) is Code.ATTEMPT_ALIVE
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


CHANGES: dict[str, dict[str, Any]] = {
    "more": {"amount_base_units": 10**15},
    "another marker": {"marker_seed": "0" * 32},
    "another mint": {"mint": Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")},
    "a higher price": {"compute_unit_price_micro_lamports": 1_001},
    "less rent": {"marker_lamports": 890_879},
    "another authority": {"authority": Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")},
    "the server's fees": {"fee_payer": None},
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_wallet_that_changes_the_transaction_gets_no_signature(claims: ClaimsWorld, what: str) -> None:
    claim = await viewer_claim(claims)
    payer = claims.payer()
    changes = dict(CHANGES[what])
    if what == "the server's fees":
        claims.wallets[7], wallet = claims.fee_payer, claims.wallets[7]
        transaction = await own_transaction(claims, claim, fee_payer=claims.fee_payer.pubkey(), wallet=wallet.pubkey())
        claims.wallets[7] = wallet
    else:
        transaction = await own_transaction(claims, claim, **changes)
    assert await refused(payer, Submit(claim.claim_id, transaction)) is Code.WRONG_TRANSACTION
    assert await claims.owner.fetchval("select count(*) from claims.signer_claims") == 0
    await given(payer, Submit(claim.claim_id, await own_transaction(claims, claim)))


async def test_a_cheaper_price_is_the_wallets_to_choose(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims)
    payer = claims.payer()
    cheap = await own_transaction(claims, claim, compute_unit_price_micro_lamports=1)
    await given(payer, Submit(claim.claim_id, cheap))
    await payer.until_confirmed(claim)


async def test_without_the_wallets_signature_nobody_signs(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims)
    payer = claims.payer()
    for transaction in (await prepared(payer, claim), b"\x01junk", b""):
        assert await refused(payer, Submit(claim.claim_id, transaction)) is Code.WRONG_TRANSACTION


async def test_a_claim_that_the_server_pays_is_not_prepared(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    assert await refused(claims.payer(), PrepareFor(claim.claim_id)) is Code.WRONG_FEE
    assert await refused(claims.payer(), PrepareFor(999)) is Code.NO_CLAIM


@pytest.mark.parametrize("at", [Step.CHECKED, Step.BOOKED, Step.ANSWERING, Step.SIGNED, Step.STORED, Step.SENT])
async def test_a_death_on_the_way_leaves_the_wallets_transaction_good(claims: ClaimsWorld, at: Step) -> None:
    claim = await viewer_claim(claims)
    signed = signing.sign(await prepared(claims.payer(), claim), claims.wallets[7])
    crash = Crasher(at)
    with pytest.raises(Crashed):
        await claims.payer(claims.signer(crash), crash).payer.door.answer(Submit(claim.claim_id, signed))
    payer = claims.payer()
    await given(payer, Submit(claim.claim_id, signed))
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units


async def test_a_transaction_that_never_lands_is_prepared_again(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim(fee="viewer")  # a wallet without lamports: it cannot land
    payer = claims.payer()
    signed = signing.sign(await prepared(payer, claim), claims.wallets[7])
    await given(payer, Submit(claim.claim_id, signed))
    assert await refused(payer, PrepareFor(claim.claim_id)) is Code.WRONG_STATE

    async def reserved() -> bool:
        return await claims.state(claim) == "reserved"

    await payer.until(reserved)
    give_lamports(claims, claims.wallets[7].pubkey())
    again = signing.sign(await prepared(payer, claim), claims.wallets[7])
    await given(payer, Submit(claim.claim_id, again))
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units


async def test_an_action_is_known_by_its_marker(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims, "action")
    payer = claims.payer()
    transaction = await given(payer, Act(claim.claim_id))
    assert transaction == await given(payer, Act(claim.claim_id))
    assert await claims.owner.fetchval("select signature from claims.attempts") is None
    assert await claims.chain.send(signing.sign(transaction, claims.wallets[7])) is None  # by the wallet, not by us
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    landed = await claims.chain.transaction(await claims.owner.fetchval("select signature from claims.claims"))
    assert landed is not None and landed.error is None


async def test_an_action_that_nobody_signs_is_given_up(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims, "action")
    payer = claims.payer()
    first = await given(payer, Act(claim.claim_id))

    async def reserved() -> bool:
        return await claims.state(claim) == "reserved"

    await payer.until(reserved)
    assert await given(payer, Act(claim.claim_id)) != first


async def given_up(claims: ClaimsWorld) -> None:
    """As two looks at nodes that all lie leave it."""
    await claims.owner.execute(
        "update claims.attempts set fate = 'expired', decided_at = now();"
        "update claims.claims set state = 'reserved', signature = null"
    )


async def test_what_landed_though_it_was_given_up_is_found_without_its_viewer(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims, "action")
    payer = claims.payer()
    transaction = await given(payer, Act(claim.claim_id))
    await given_up(claims)
    assert await payer.payer.returned.step() == 0
    assert await claims.chain.send(signing.sign(transaction, claims.wallets[7])) is None
    claims.slots(4)
    await payer.look()
    assert await claims.state(claim) == "reserved"  # nothing else asks
    assert await payer.payer.returned.step() == 1
    assert await claims.state(claim) == "confirmed"
    assert await payer.payer.returned.step() == 0


async def test_a_strangers_marker_of_a_claim_that_was_given_up_confirms_nothing(claims: ClaimsWorld) -> None:
    claim = await viewer_claim(claims, "action")
    payer = claims.payer()
    await given(payer, Act(claim.claim_id))
    await given_up(claims)
    give_lamports(claims, Pubkey.from_string(await claims.owner.fetchval("select marker from claims.claims")))
    assert await payer.payer.returned.step() == 0
    assert await claims.state(claim) == "reserved"


async def test_a_stranger_who_makes_the_marker_has_paid_nobody(claims: ClaimsWorld) -> None:
    """Lamports at the marker's address block the claim of their sender, and confirm nothing."""
    claim = await viewer_claim(claims, "action")
    payer = claims.payer()
    await given(payer, Act(claim.claim_id))
    give_lamports(claims, Pubkey.from_string(await claims.owner.fetchval("select marker from claims.claims")))
    await payer.look()
    assert await claims.state(claim) == "signed"
    claims.slots(2)
    await payer.look()
    assert await claims.state(claim) == "held"
    assert str(await claims.held_because(claim)).startswith("marker_taken")
    assert claims.paid(7) == 0


async def test_the_door_speaks_over_its_socket(claims: ClaimsWorld, tmp_path: Path) -> None:
    claim = await viewer_claim(claims)
    door: Door = claims.payer().payer.door
    path = tmp_path / "run" / "payer.sock"
    async with serving_door(door, path, Counter()):
        client = PayerClient(path)
        transaction = await client.ask(PrepareFor(claim.claim_id))
        assert isinstance(transaction, Given)
        signed = signing.sign(transaction.transaction, claims.wallets[7])
        assert isinstance(await client.ask(Submit(claim.claim_id, signed)), Given)
    await claims.payer().until_confirmed(claim)
