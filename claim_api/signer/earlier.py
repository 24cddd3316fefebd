"""Whether the earlier attempt of a claim is dead, by the signer's own look at the chain. docs/claims.md.

In: the newest attempts in the books, and all messages booked for their claims. Out: of each whether it is dead, alive,
paid, or its marker taken. Dead is an attempt when all nodes that answer (more than half) are past its height without
its marker, and no transaction of ours that succeeded stands in the marker's history: a marker whose rent was taken back
is gone, its history is not. A marker that exists is never dead, whoever made it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from solders.pubkey import Pubkey

from claim_api.chain.port import MAX_ACCOUNTS, Chain, ChainAway, Finding, Subject
from claim_api.chain.whose import Whose, whose
from claim_api.signer.books import BookedAttempt


class Fate(StrEnum):
    """Of the newest attempt of a claim. taken: a stranger's transaction made the marker, so that none of ours can land
    while it is there."""

    ALIVE = "alive"
    DEAD = "dead"
    PAID = "paid"
    TAKEN = "taken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was found of one attempt; it says nothing of a later one."""

    attempt: int
    fate: Fate


async def fates(
    chain: Chain,
    attempts: Mapping[int, BookedAttempt],
    messages: Mapping[int, Collection[bytes]],
    authority: Pubkey,
) -> dict[int, Earlier]:
    """By claim, as are the messages. A node that does not answer makes UNKNOWN, never DEAD."""
    found: dict[int, Earlier] = {}
    items = list(attempts.items())
    for start in range(0, len(items), MAX_ACCOUNTS):
        some = items[start : start + MAX_ACCOUNTS]
        try:
            look = await chain.look([Subject(one.marker, None, one.last_valid_block_height) for _, one in some])
            findings = look.findings
        except ChainAway:
            findings = (Finding.UNKNOWN,) * len(some)
        for (claim_id, one), finding in zip(some, findings, strict=True):
            fate = await _fate(chain, one.marker, finding, messages.get(claim_id, ()), authority)
            found[claim_id] = Earlier(one.attempt, fate)
    return found


async def _fate(chain: Chain, marker: str, finding: Finding, ours: Collection[bytes], authority: Pubkey) -> Fate:
    if finding is Finding.ALIVE:
        return Fate.ALIVE
    if finding is Finding.UNKNOWN:
        return Fate.UNKNOWN
    try:
        landings = await chain.landings(marker)
        made_by = await whose(chain, landings, ours, authority)
    except ChainAway:
        return Fate.UNKNOWN
    match made_by:
        case Whose.OURS:
            return Fate.PAID
        case Whose.UNKNOWN:
            return Fate.UNKNOWN
    if finding is Finding.DEAD:
        return Fate.DEAD
    # The marker is there. Without a landing the node that was asked is behind the one that has it.
    return Fate.TAKEN if any(one.error is None for one in landings) else Fate.UNKNOWN
