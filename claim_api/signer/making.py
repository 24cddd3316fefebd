"""From a wish to a message: what a good claim's transaction is, made by us or taken apart.

In: a claim that may be paid, what is asked for it, what the chain says now. Out: an entry for the books and the
transaction beside it, or CheckFailed.
"""

from dataclasses import dataclass
from typing import Final, Literal

from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey

from claim_api.chain.port import BLOCKHASH_BLOCKS
from claim_api.signer.books import ClaimRow, Entry, Facts
from claim_api.signer.checks import CheckFailed, Checks
from claim_api.signer.protocol import Code
from streams.chain import signing
from streams.chain.errors import PaymentMismatch, TermsError
from streams.chain.payment import read_payment
from streams.chain.terms import COMPUTE_UNITS, Terms, build_message

HEIGHT_MARGIN_BLOCKS: Final = 20
"""The newest block that our nodes have may be so far behind the newest there is: a blockhash is counted alive for so
much longer than the 150 blocks from what they say. About 8 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerConfig:
    """What is the same for every claim. price_micro_lamports: of a compute unit, ours and the most a wallet may set."""

    mint: Pubkey
    source: Literal["mint", "treasury"]
    server_fee_payer: Pubkey
    marker_secret: bytes
    price_micro_lamports: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for one claim. transaction: what the wallet has signed, where it signs first."""

    claim_id: int
    fee: Literal["server", "viewer", "action"]
    blockhash: str
    last_valid_block_height: int = 0
    transaction: bytes | None = None
    books: bool = True


@dataclass(frozen=True, slots=True)
class Making:
    """authority: the address of the signer's key."""

    checks: Checks
    config: SignerConfig
    authority: Pubkey

    def entry(self, wish: Wish, claim: ClaimRow, facts: Facts, height: int, lamports: int) -> tuple[Entry, bytes]:
        """height: the newest that our nodes know; lamports: a marker's rent. Raises CheckFailed."""
        seed = self.checks.payment(claim, facts)
        try:
            terms = self._terms(claim, wish, seed, lamports)
            if wish.transaction is None:
                blockhash = Hash.from_string(wish.blockhash)
                message: Message | MessageV0 = build_message(terms, blockhash)
                transaction, payload = signing.unsigned(message), bytes(message)
            else:
                payment = read_payment(wish.transaction, terms)
                if terms.wallet in payment.missing:
                    raise CheckFailed(Code.WRONG_TRANSACTION, f"wallet {claim.wallet} has not signed")
                transaction, payload, blockhash = wish.transaction, payment.message, payment.blockhash
        except PaymentMismatch as error:
            raise CheckFailed(Code.WRONG_TRANSACTION, str(error)) from error
        except (TermsError, ValueError) as error:
            raise CheckFailed(Code.WRONG_TERMS, str(error)) from error
        # A payer that names an early height must not make us believe that what can still land is dead.
        alive_until = max(wish.last_valid_block_height, height + BLOCKHASH_BLOCKS + HEIGHT_MARGIN_BLOCKS)
        number = 1 if facts.attempt is None else facts.attempt.attempt + 1
        return Entry(facts, str(terms.marker), seed, number, str(blockhash), alive_until, payload), transaction

    def _terms(self, claim: ClaimRow, wish: Wish, seed: str, lamports: int) -> Terms:
        config = self.config
        wallet = Pubkey.from_string(claim.wallet)
        return Terms(
            fee_payer=config.server_fee_payer if wish.fee == "server" else wallet,
            server_fee_payer=config.server_fee_payer,
            wallet=wallet,
            mint=config.mint,
            authority=self.authority,
            source=config.source,
            amount_base_units=claim.amount_base_units,
            marker_seed=seed,
            marker_lamports=lamports,
            compute_unit_limit=COMPUTE_UNITS,
            compute_unit_price_micro_lamports=config.price_micro_lamports,
        )


def message_in(transaction: bytes) -> bytes | None:
    """The message's bytes; None where these are no transaction."""
    count = transaction[0] if transaction else 0
    start = 1 + 64 * count
    return transaction[start:] if 0 < count < 16 and len(transaction) > start else None
