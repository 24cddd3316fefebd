"""What one claim's transaction must be, exactly: the terms, and the four kinds of instruction that follow from them.

In: who pays whom how much. Out: instructions and, with a blockhash, a message. docs/claims.md, The one shape.
"""

from dataclasses import dataclass
from typing import Final, Literal

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import CreateAccountWithSeedParams, create_account_with_seed
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    mint_to_checked,
    transfer_checked,
)
from spl.token.models import MintToCheckedParams, TransferCheckedParams

from streams.chain.errors import TermsError
from streams.chain.marker import SEED_CHARACTERS, marker_address

DECIMALS: Final = 9
MAX_BASE_UNITS: Final = 2**63 - 1
"""What the ledger's column holds; the chain's is one bit wider."""
MAX_COMPUTE_UNITS: Final = 1_400_000
"""Solana's own limit of one transaction."""
COMPUTE_UNITS: Final = 80_000
"""Limit that we ask for: a claim with a new token account takes about 25,000, and finding its address up to 1,500 for
each bump that is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One claim's payment.

    fee_payer: pays fee, marker and token account; the server's key or the wallet. marker_lamports: the rent-exempt
    minimum of an empty account, as the chain says it. compute_unit_limit and compute_unit_price_micro_lamports are what
    we ask for and the most that a wallet may make of them. Raises TermsError.
    """

    fee_payer: Pubkey
    server_fee_payer: Pubkey
    wallet: Pubkey
    mint: Pubkey
    authority: Pubkey
    source: Literal["mint", "treasury"]
    amount_base_units: int
    marker_seed: str
    marker_lamports: int
    compute_unit_limit: int = COMPUTE_UNITS
    compute_unit_price_micro_lamports: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.amount_base_units <= MAX_BASE_UNITS:
            raise TermsError(f"a claim of {self.amount_base_units} base units; it may be 1 to {MAX_BASE_UNITS}")
        if self.source not in ("mint", "treasury"):
            raise TermsError(f"source {self.source!r}; it may be mint or treasury")
        if self.fee_payer not in (self.server_fee_payer, self.wallet):
            raise TermsError(f"fee payer {self.fee_payer} is neither the server's key nor the wallet")
        if self.source == "treasury" and self.wallet == self.authority:
            raise TermsError(f"wallet {self.wallet} is the treasury itself; bind another")
        if len(self.marker_seed) != SEED_CHARACTERS or set(self.marker_seed) - set("0123456789abcdef"):
            raise TermsError(f"marker seed {self.marker_seed!r} is not {SEED_CHARACTERS} lowercase hex digits")
        if not 0 < self.marker_lamports < 2**63:
            raise TermsError(f"a marker with {self.marker_lamports} lamports; ask the chain for its rent")
        if not 1 <= self.compute_unit_limit <= MAX_COMPUTE_UNITS:
            raise TermsError(f"compute unit limit {self.compute_unit_limit}; it may be 1 to {MAX_COMPUTE_UNITS}")
        if not 0 <= self.compute_unit_price_micro_lamports < 2**63:
            raise TermsError(f"compute unit price {self.compute_unit_price_micro_lamports} micro-lamports is no price")

    @property
    def marker(self) -> Pubkey:
        """The marker's address."""
        return marker_address(self.server_fee_payer, self.marker_seed)

    @property
    def token_account(self) -> Pubkey:
        """The wallet's associated account."""
        return associated_account(self.wallet, self.mint)

    @property
    def viewer_pays(self) -> bool:
        """Whether the wallet pays the fee."""
        return self.fee_payer != self.server_fee_payer

    @property
    def signers(self) -> frozenset[Pubkey]:
        """Whose signatures the transaction needs; no others."""
        return frozenset((self.fee_payer, self.server_fee_payer, self.authority))


def associated_account(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """The owner's associated account of a Token-2022 mint."""
    return get_associated_token_address(owner, mint, TOKEN_2022_PROGRAM_ID)


def instructions(terms: Terms) -> list[Instruction]:
    """The instructions, in their order: limit, price, marker, token account, payment."""
    return [
        set_compute_unit_limit(terms.compute_unit_limit),
        set_compute_unit_price(terms.compute_unit_price_micro_lamports),
        create_account_with_seed(
            CreateAccountWithSeedParams(
                from_pubkey=terms.fee_payer,
                to_pubkey=terms.marker,
                base=terms.server_fee_payer,
                seed=terms.marker_seed,
                lamports=terms.marker_lamports,
                space=0,
                owner=SYSTEM_PROGRAM,
            )
        ),
        create_idempotent_associated_token_account(terms.fee_payer, terms.wallet, terms.mint, TOKEN_2022_PROGRAM_ID),
        _pay(terms),
    ]


def build_message(terms: Terms, blockhash: Hash) -> Message:
    """The message to sign, in the legacy form, which every wallet knows."""
    return Message.new_with_blockhash(instructions(terms), terms.fee_payer, blockhash)


def _pay(terms: Terms) -> Instruction:
    if terms.source == "mint":
        return mint_to_checked(
            MintToCheckedParams(
                program_id=TOKEN_2022_PROGRAM_ID,
                mint=terms.mint,
                dest=terms.token_account,
                mint_authority=terms.authority,
                amount=terms.amount_base_units,
                decimals=DECIMALS,
            )
        )
    return transfer_checked(
        TransferCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            source=associated_account(terms.authority, terms.mint),
            mint=terms.mint,
            dest=terms.token_account,
            owner=terms.authority,
            amount=terms.amount_base_units,
            decimals=DECIMALS,
        )
    )
