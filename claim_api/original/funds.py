"""Whether it was money that a payment lacked: lamports of the fee payer, or tokens of the treasury. Pure.

In: what the chain or a node said of an attempt, or a claim's held_because. Out: yes or no. Source of the words: Solana,
TransactionError, SystemError and TokenError; of the numbers: docs/claims.md, The one shape.
"""

from typing import Final

import msgspec

HELD_PREFIX: Final = "refused_by_chain: "
"""Before the chain's error in held_because (claim_api/payer/watch.py)."""
FEE_OR_RENT: Final = frozenset({"InsufficientFundsForFee", "InsufficientFundsForRent"})
"""The fee payer has lamports, but not enough."""
PAYING_INDEXES: Final = (2, 3, 4)
"""Marker and token account, for which the fee payer pays rent, and the transfer out of the treasury."""
POOR: Final = 1
"""SystemError::ResultWithNegativeLamports and TokenError::InsufficientFunds bear the same number."""
NODES_WORDS: Final = (*FEE_OR_RENT, "insufficient funds for", "insufficient lamports", "no record of a prior credit")
"""In a node's own sentence, where it does not take a transaction."""


def lacks_funds(error: str) -> bool:
    """error: JSON of the chain, a node's sentence, or either behind HELD_PREFIX."""
    text = error.removeprefix(HELD_PREFIX)
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return any(words.lower() in text.lower() for words in NODES_WORDS)
    match said:
        case str(name):
            return name in FEE_OR_RENT
        case {"InsufficientFundsForRent": _}:
            return True
        case {"InstructionError": [int(index), {"Custom": int(code)}]}:
            return index in PAYING_INDEXES and code == POOR
        case _:
            return False
