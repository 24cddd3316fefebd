"""What the signer is asked and what it answers: msgpack of these, one frame each on the signer's socket.

Bounds stand in the forms themselves; what does not fit them is refused as `malformed` before anything is looked at.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MAX_BATCH: Final = 128
MAX_TRANSACTION_BYTES: Final = 1232
ClaimId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Base58 = Annotated[str, Meta(min_length=32, max_length=44, pattern="^[1-9A-HJ-NP-Za-km-z]+$")]
Height = Annotated[int, Meta(ge=0, le=2**62)]


class Code(StrEnum):
    """Why nothing was signed; each check of docs/claims.md has its own."""

    FROZEN = "frozen"
    NO_CLAIM = "no_claim"
    WRONG_STATE = "wrong_state"
    WRONG_MINT = "wrong_mint"
    WRONG_FEE = "wrong_fee"
    NO_WALLET = "no_wallet"
    WALLET_NOT_IN_FORCE = "wallet_not_in_force"
    BINDING_INVALID = "binding_invalid"
    TOO_MANY_ALLOCATIONS = "too_many_allocations"
    FOREIGN_ALLOCATION = "foreign_allocation"
    NO_ALLOCATION = "no_allocation"
    WRONG_INCREASE = "wrong_increase"
    CHANNEL_STOPPED = "channel_stopped"
    WRONG_SUM = "wrong_sum"
    SIGNED_ELSEWHERE = "signed_elsewhere"
    CLAIM_CHANGED = "claim_changed"
    WRONG_TERMS = "wrong_terms"
    OVER_CAP = "over_cap"
    ATTEMPT_ALIVE = "attempt_alive"
    ALREADY_PAID = "already_paid"
    MARKER_TAKEN = "marker_taken"
    BOOKS_BEHIND = "books_behind"
    WRONG_TRANSACTION = "wrong_transaction"
    CHAIN_AWAY = "chain_away"
    DATABASE_AWAY = "database_away"
    KEY_AWAY = "key_away"
    MALFORMED = "malformed"


TO_SETTLE: Final = frozenset({Code.ALREADY_PAID, Code.MARKER_TAKEN})
"""The claim's marker has a history: the payer looks which of its attempts made it, if any."""
PASSING: Final = frozenset(
    {Code.FROZEN, Code.OVER_CAP, Code.CHANNEL_STOPPED, Code.ATTEMPT_ALIVE, Code.BOOKS_BEHIND}
    | {Code.CHAIN_AWAY, Code.DATABASE_AWAY, Code.KEY_AWAY, Code.NO_WALLET}
)
"""What may change by itself or by an operator's switch: the claim waits and is asked for again. A claim is reserved to
a wallet in force, and bindings stay: where there is none the database's clock has gone back."""


class Wanted(msgspec.Struct, frozen=True):
    """One claim to be signed with this blockhash. last_valid_block_height: as the asker knows it; the signer counts
    with a later one of its own where that is later."""

    claim_id: ClaimId
    blockhash: Base58
    last_valid_block_height: Height


class Sign(msgspec.Struct, frozen=True, tag_field="op", tag="sign"):
    """Server pays: the transaction with the authority's signature; the fee payer's is still to come."""

    claims: Annotated[list[Wanted], Meta(min_length=1, max_length=MAX_BATCH)]


class Prepare(msgspec.Struct, frozen=True, tag_field="op", tag="prepare"):
    """Viewer pays: the transaction without any signature. Nothing is written."""

    claim_id: ClaimId
    blockhash: Base58


class Cosign(msgspec.Struct, frozen=True, tag_field="op", tag="cosign"):
    """Viewer pays: the wallet has signed; compared, then the authority signs."""

    claim_id: ClaimId
    transaction: Annotated[bytes, Meta(max_length=MAX_TRANSACTION_BYTES)]


class Action(msgspec.Struct, frozen=True, tag_field="op", tag="action"):
    """Viewer pays and sends: the authority signs first, only the marker tells the fate."""

    claim: Wanted


class AskStatus(msgspec.Struct, frozen=True, tag_field="op", tag="status"):
    """How the signer stands."""


Question = Sign | Prepare | Cosign | Action | AskStatus


class Signed(msgspec.Struct, frozen=True, tag_field="is", tag="signed"):
    """An attempt that stands in the signer's books. transaction: with the authority's signature in its place.
    last_valid_block_height: an upper bound; the attempt counts as alive until the chain is past it."""

    claim_id: int
    attempt: int
    transaction: bytes
    blockhash: str
    last_valid_block_height: int
    marker: str
    marker_seed: str


class Prepared(msgspec.Struct, frozen=True, tag_field="is", tag="prepared"):
    """A transaction for the wallet to sign first."""

    claim_id: int
    transaction: bytes


class Refused(msgspec.Struct, frozen=True, tag_field="is", tag="refused"):
    """Nothing was signed. claim_id 0: of the whole request."""

    claim_id: int
    code: Code
    message: str


class SignerStatus(msgspec.Struct, frozen=True, tag_field="is", tag="status"):
    """cap_left_base_units: None where no cap is set."""

    authority: str
    mint: str
    source: str
    server_fee_payer: str
    frozen: bool
    day: str
    signed_today_base_units: int
    cap_left_base_units: int | None


Answer = Signed | Prepared | Refused | SignerStatus

encode: Final = msgspec.msgpack.Encoder().encode
question_of: Final = msgspec.msgpack.Decoder(Question).decode
answers_of: Final = msgspec.msgpack.Decoder(list[Answer]).decode
