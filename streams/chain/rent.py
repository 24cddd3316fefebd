"""Taking a marker's rent back, when its claim has been final for a day.

In: the server's fee payer and the marker's seed. Out: an instruction, and a transaction of many of them.
"""

from collections.abc import Sequence
from typing import Final

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferWithSeedParams, transfer_with_seed

from streams.chain.errors import TermsError
from streams.chain.marker import marker_address

MAX_MARKERS: Final = 8
"""Of one transaction: each takes 32 bytes for its account and about 85 for its instruction."""


def take_rent(server_fee_payer: Pubkey, seed: str, lamports: int) -> Instruction:
    """All lamports of the marker to the fee payer; the account is gone then. lamports: what it holds now, all of it."""
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=marker_address(server_fee_payer, seed),
            from_base=server_fee_payer,
            from_seed=seed,
            from_owner=SYSTEM_PROGRAM,
            to_pubkey=server_fee_payer,
            lamports=lamports,
        )
    )


def build_message(server_fee_payer: Pubkey, markers: Sequence[tuple[str, int]], blockhash: Hash) -> Message:
    """A message that takes the rent of several markers, (seed, lamports) each. Raises TermsError."""
    if not 1 <= len(markers) <= MAX_MARKERS:
        raise TermsError(f"{len(markers)} markers in one transaction; it may be 1 to {MAX_MARKERS}")
    taking = [take_rent(server_fee_payer, seed, lamports) for seed, lamports in markers]
    return Message.new_with_blockhash(taking, server_fee_payer, blockhash)
