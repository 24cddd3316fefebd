"""What claims are paid out of, for tests: the treasury's tokens and the fee payer's lamports."""

from solders.hash import Hash
from solders.message import Message
from solders.system_program import TransferParams, transfer

from streams.chain import signing
from streams.chain.terms import Terms, build_message
from tests.claims_parts import held_base_units
from tests.claims_world import ClaimsWorld

LAMPORTS_A_SIGNATURE = 5_000


async def fill(claims: ClaimsWorld, base_units: int) -> None:
    """Mint to the authority's own account, as its owner does beforehand."""
    terms = Terms(
        fee_payer=claims.fee_payer.pubkey(),
        server_fee_payer=claims.fee_payer.pubkey(),
        wallet=claims.authority.pubkey(),
        mint=claims.mint,
        authority=claims.authority.pubkey(),
        source="mint",
        amount_base_units=base_units,
        marker_seed=f"{base_units:032x}",
        marker_lamports=await claims.chain.marker_lamports(),
    )
    recent = Hash.from_string((await claims.chain.latest_blockhash()).blockhash)
    message = signing.unsigned(build_message(terms, recent))
    assert await claims.chain.send(signing.sign(message, claims.fee_payer, claims.authority)) is None
    claims.slots(4)


def treasury(claims: ClaimsWorld) -> int:
    return held_base_units(claims.localnet.chain, claims.authority.pubkey(), claims.mint)


async def leave_lamports(claims: ClaimsWorld, lamports: int) -> None:
    """The fee payer gives away all but these."""
    payer, chain = claims.fee_payer.pubkey(), claims.localnet.chain
    found = chain.bank.account(payer, chain.slot)
    assert found is not None
    away = found.lamports - LAMPORTS_A_SIGNATURE - lamports
    move = transfer(TransferParams(from_pubkey=payer, to_pubkey=claims.authority.pubkey(), lamports=away))
    recent = Hash.from_string((await claims.chain.latest_blockhash()).blockhash)
    message = signing.unsigned(Message.new_with_blockhash([move], payer, recent))
    assert await claims.chain.send(signing.sign(message, claims.fee_payer)) is None
    claims.slots(4)
