"""A claim's payment on the local cluster: it lands once, whatever is tried, and its rent comes back."""

import base64
from typing import Any

import pytest
from solders.keypair import Keypair
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from infra.localnet import Localnet
from streams.chain import mint, rent, signing
from streams.chain.payment import read_payment
from streams.chain.terms import associated_account, build_message
from tests.localnet_client import PROCESSED, SOL, Client, Issuer


async def held(node: Client, account: Any, commitment: str = "processed") -> Any:
    answer = await node.ask("getTokenAccountBalance", str(account), {"commitment": commitment})
    return answer["result"]["value"]["amount"] if "result" in answer else answer["error"]["message"]


async def test_a_mint_is_made_as_it_reads(node: Client, issuer: Issuer) -> None:
    found = await node.get("getAccountInfo", str(issuer.mint.pubkey()), {"encoding": "base64", **PROCESSED})
    account = found["value"]
    state = mint.read_mint(TOKEN_2022_PROGRAM_ID, base64.b64decode(account["data"][0]))
    assert state.metadata == mint.TokenNames("Chat of tests", "CHAT", "https://chat.example/chat.json")
    assert (state.decimals, state.supply_base_units, state.freeze_authority) == (9, 0, None)
    assert state.mint_authority == state.metadata_authority == issuer.authority.pubkey()
    assert account["space"] == mint.final_bytes(state.metadata)
    assert account["lamports"] == await node.get("getMinimumBalanceForRentExemption", account["space"])
    assert state.harmful == ()


async def test_a_claim_lands_and_pays(node: Client, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    transaction = await issuer.paying(terms)
    answer = await node.send(transaction)
    assert answer["result"] == str(read_payment(transaction, terms).signature)
    assert await held(node, terms.token_account) == "8000000000"
    marker = await node.get("getAccountInfo", str(terms.marker), {"encoding": "base64", **PROCESSED})
    assert marker["value"]["lamports"] == issuer.marker_lamports
    supply = await node.get("getTokenSupply", str(issuer.mint.pubkey()), PROCESSED)
    assert supply["value"]["uiAmountString"] == "8"


async def test_a_second_payment_of_the_same_claim_cannot_land(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    wallet = Keypair()
    terms = issuer.terms(1, wallet)
    await node.send(await issuer.paying(terms))
    localnet.chain.advance()
    for second in (terms, issuer.terms(1, wallet, amount_base_units=1), issuer.terms(1, Keypair())):
        error = (await node.send(await issuer.paying(second)))["error"]
        assert error["code"] == -32002
        assert error["data"]["err"] == {"InstructionError": [2, {"Custom": 0}]}
        assert any("already in use" in line for line in error["data"]["logs"])
        # Past the preflight the chain itself refuses it; the fee is paid, nothing else happens.
        skipping = await node.send(await issuer.paying(second), skipPreflight=True)
        status = await node.status(skipping["result"])
        assert status["err"] == {"InstructionError": [2, {"Custom": 0}]}
    assert await held(node, terms.token_account) == "8000000000"


async def test_a_claim_whose_fee_the_viewer_pays(node: Client, issuer: Issuer) -> None:
    wallet = Keypair()
    await node.get("requestAirdrop", str(wallet.pubkey()), SOL)
    terms = issuer.terms(1, wallet, fee_payer=wallet.pubkey())
    transaction = signing.unsigned(build_message(terms, await node.blockhash()))
    for signer in (wallet, issuer.authority, issuer.payer):
        transaction = signing.sign(transaction, signer)
    before = (await node.get("getBalance", str(issuer.payer.pubkey()), PROCESSED))["value"]
    assert "result" in await node.send(transaction)
    assert await held(node, terms.token_account) == "8000000000"
    assert (await node.get("getBalance", str(issuer.payer.pubkey()), PROCESSED))["value"] == before


async def test_a_claim_from_the_treasury(node: Client, issuer: Issuer) -> None:
    treasury = issuer.terms(1, issuer.authority, amount_base_units=20_000_000_000)
    await node.send(await issuer.paying(treasury))
    terms = issuer.terms(2, source="treasury")
    assert "result" in await node.send(await issuer.paying(terms))
    assert await held(node, terms.token_account) == "8000000000"
    assert await held(node, associated_account(issuer.authority.pubkey(), issuer.mint.pubkey())) == "12000000000"


async def test_the_rent_of_markers_comes_back(node: Client, issuer: Issuer) -> None:
    claims = [issuer.terms(number) for number in range(rent.MAX_MARKERS)]
    for terms in claims:
        assert "result" in await node.send(await issuer.paying(terms))
    payer = issuer.payer.pubkey()
    before = (await node.get("getBalance", str(payer), PROCESSED))["value"]
    markers = [(terms.marker_seed, issuer.marker_lamports) for terms in claims]
    message = rent.build_message(payer, markers, await node.blockhash())
    assert "result" in await node.send(signing.sign(signing.unsigned(message), issuer.payer))
    after = (await node.get("getBalance", str(payer), PROCESSED))["value"]
    assert after - before == len(claims) * issuer.marker_lamports - 5_000
    for terms in claims:
        assert (await node.get("getAccountInfo", str(terms.marker), PROCESSED))["value"] is None


async def test_handing_the_authority_over_ends_our_right_to_mint(node: Client, issuer: Issuer) -> None:
    new = Keypair()
    handing = [mint.hand_over(issuer.mint.pubkey(), issuer.authority.pubkey(), new.pubkey())]
    assert "result" in await node.send(await node.signed(handing, issuer.payer, issuer.authority))
    error = (await node.send(await issuer.paying(issuer.terms(1))))["error"]
    assert error["data"]["err"] == {"InstructionError": [4, {"Custom": 4}]}


async def test_each_commitment_sees_its_own_state(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    signature = (await node.send(await issuer.paying(terms)))["result"]
    landed = localnet.chain.slot
    for passed, reached in ((0, "processed"), (1, "confirmed"), (2, "confirmed"), (3, "finalized")):
        status = await node.status(signature)
        assert (status["slot"], status["confirmationStatus"]) == (landed, reached)
        assert status["confirmations"] == (None if reached == "finalized" else passed)
        for commitment in ("processed", "confirmed", "finalized"):
            sees = ["processed", "confirmed", "finalized"].index(commitment) <= [
                "processed",
                "confirmed",
                "finalized",
            ].index(reached)
            marker = await node.get("getAccountInfo", str(terms.marker), {"commitment": commitment})
            assert (marker["value"] is not None) == sees
            assert (await held(node, terms.token_account, commitment) == "8000000000") == sees
        shown = await node.get("getTransaction", signature, {"commitment": "confirmed"})
        assert (shown is not None) == (reached != "processed")
        localnet.chain.advance()


@pytest.mark.parametrize("slots", [150, 151])
async def test_a_blockhash_lives_150_blocks(localnet: Localnet, node: Client, issuer: Issuer, slots: int) -> None:
    latest = (await node.get("getLatestBlockhash", PROCESSED))["value"]
    transaction = await issuer.paying(issuer.terms(1))
    localnet.chain.advance(slots)
    alive = slots == 150
    height = await node.get("getBlockHeight", PROCESSED)
    assert (height <= latest["lastValidBlockHeight"]) == alive
    assert (await node.get("isBlockhashValid", latest["blockhash"], PROCESSED))["value"] == alive
    answer = await node.send(transaction)
    if alive:
        assert "result" in answer
    else:
        assert answer["error"]["code"] == -32002
        assert answer["error"]["data"]["err"] == "BlockhashNotFound"
        skipping = await node.send(transaction, skipPreflight=True)
        localnet.chain.advance()
        assert await node.status(skipping["result"]) is None
