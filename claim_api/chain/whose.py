"""Whether one of a claim's own transactions landed, among those that succeeded in its marker's history.

In: landings, the messages that were signed for the claim. Out: ours, a stranger's, or not to be known now. Anybody may
send lamports to the address of a marker that they have seen; that succeeds, and pays nobody.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Final

from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from claim_api.chain.port import Chain, Landing

MAX_COMPARED: Final = 50
"""Each is a call; who names a marker more often than this only delays their victim's claim until an operator looks."""


class Whose(StrEnum):
    """OURS: one of them is. NOT_OURS: none is, or there are none. UNKNOWN: too many, or no node gives one of them."""

    OURS = "ours"
    NOT_OURS = "not ours"
    UNKNOWN = "unknown"


async def whose(chain: Chain, landings: Sequence[Landing], ours: Collection[bytes], authority: Pubkey) -> Whose:
    """Ours is a landing without error whose message is, byte for byte, one of ours; or which moves tokens and has the
    authority's signature: then our books have forgotten it. Raises ChainAway."""
    landed = [one for one in landings if one.error is None]
    if len(landed) > MAX_COMPARED:
        return Whose.UNKNOWN
    unsure = False
    for landing in landed:
        found = await chain.transaction(landing.signature)
        if found is None or found.error is not None:
            unsure = True
            continue
        message = VersionedTransaction.from_bytes(found.transaction).message
        signers = message.account_keys[: message.header.num_required_signatures]
        signed = authority in signers and TOKEN_2022_PROGRAM_ID in message.account_keys
        if signed or bytes(to_bytes_versioned(message)) in ours:
            return Whose.OURS
    return Whose.UNKNOWN if unsure else Whose.NOT_OURS
