"""What the signer answered, taken apart before the fee payer's key signs it and anything is sent.

In: a claim of the ledger, the signer's answer. Out: an attempt to be stored, with the fee payer's signature; or
PaperMismatch. The payer believes the signer as little as the signer believes the ledger: its key pays fees, and it is
the base of every marker.
"""

from dataclasses import dataclass
from functools import cached_property

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from claim_api.ledger.moves import NewAttempt
from claim_api.ledger.rows import Claim
from claim_api.payer.config import PayerConfig
from claim_api.signer.protocol import Signed
from schemas.errors import TwzrdError
from streams.chain import signing
from streams.chain.errors import ChainError
from streams.chain.payment import Payment, read_payment
from streams.chain.terms import Terms


class PaperMismatch(TwzrdError):
    """The signer's answer is not this claim's payment; nothing was signed or sent."""


@dataclass(frozen=True)
class FeePayer:
    """The server's fee payer and what it signs."""

    keypair: Keypair
    config: PayerConfig

    @cached_property
    def address(self) -> Pubkey:
        return self.keypair.pubkey()

    def complete(self, claim: Claim, signed: Signed, marker_lamports: int) -> NewAttempt:
        """The attempt with our signature. Raises PaperMismatch."""
        payment = self._read(claim, signed, marker_lamports)
        try:
            whole = signing.sign(signed.transaction, self.keypair)
        except ChainError as error:
            raise PaperMismatch(f"claim {claim.claim_id}: {error}") from error
        if claim.fee == "server":
            signature: str | None = str(signing_of(whole))
        else:
            signature = None if claim.fee == "action" else str(payment.signature)
        return NewAttempt(
            claim_id=claim.claim_id,
            attempt=signed.attempt,
            signature=signature,
            blockhash=str(payment.blockhash),
            last_valid_block_height=signed.last_valid_block_height,
            transaction=whole,
            marker=signed.marker,
        )

    def _read(self, claim: Claim, signed: Signed, marker_lamports: int) -> Payment:
        config = self.config
        try:
            wallet = Pubkey.from_string(claim.wallet)
            terms = Terms(
                fee_payer=self.address if claim.fee == "server" else wallet,
                server_fee_payer=self.address,
                wallet=wallet,
                mint=config.mint,
                authority=config.authority,
                source=config.source,
                amount_base_units=claim.amount_base_units,
                marker_seed=signed.marker_seed,
                marker_lamports=marker_lamports,
                compute_unit_price_micro_lamports=config.price_micro_lamports,
            )
            payment = read_payment(signed.transaction, terms)
        except (ChainError, ValueError) as error:
            raise PaperMismatch(
                f"claim {claim.claim_id}: the signer's transaction is not its payment: {error}"
            ) from error
        missing = set(payment.missing) - {self.address} - ({wallet} if claim.fee == "action" else set())
        if missing:
            raise PaperMismatch(f"claim {claim.claim_id}: {', '.join(map(str, missing))} has not signed")
        if str(payment.blockhash) != signed.blockhash or str(terms.marker) != signed.marker:
            raise PaperMismatch(f"claim {claim.claim_id}: blockhash or marker is not what the signer says of it")
        return payment


def signing_of(transaction: bytes) -> str:
    """The transaction's name on the chain: its first signature. The bytes were made or read here."""
    from solders.transaction import VersionedTransaction

    return str(VersionedTransaction.from_bytes(transaction).signatures[0])


def message_of(transaction: bytes) -> bytes:
    """The bytes that are signed, of a transaction that was made or read here, or that the chain gave us."""
    from solders.message import to_bytes_versioned
    from solders.transaction import VersionedTransaction

    return bytes(to_bytes_versioned(VersionedTransaction.from_bytes(transaction).message))
