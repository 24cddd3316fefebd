"""Whether the earlier attempt of a claim is dead, by the signer's own look at the chain. docs/claims.md.

In: the newest attempts in the books. Out: of each whether it is dead, alive or paid. Dead is an attempt when all nodes
that answer (more than half) are past its height without its marker, and no transaction that succeeded stands in the
marker's history: a marker whose rent was taken back is gone, its history is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from claim_api.chain.port import MAX_ACCOUNTS, Chain, ChainAway, Finding, Subject
from claim_api.signer.books import BookedAttempt


class Fate(StrEnum):
    """Of the newest attempt of a claim."""

    ALIVE = "alive"
    DEAD = "dead"
    PAID = "paid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was found of one attempt; it says nothing of a later one."""

    attempt: int
    fate: Fate


async def fates(chain: Chain, attempts: Mapping[int, BookedAttempt]) -> dict[int, Earlier]:
    """By claim. A node that does not answer makes UNKNOWN, never DEAD."""
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
            found[claim_id] = Earlier(one.attempt, await _fate(chain, one, finding))
    return found


async def _fate(chain: Chain, one: BookedAttempt, finding: Finding) -> Fate:
    match finding:
        case Finding.ALIVE:
            return Fate.ALIVE
        case Finding.MARKED | Finding.FOUND:
            return Fate.PAID
        case Finding.UNKNOWN:
            return Fate.UNKNOWN
        case Finding.DEAD:
            try:
                landings = await chain.landings(one.marker)
            except ChainAway:
                return Fate.UNKNOWN
            return Fate.PAID if any(landing.error is None for landing in landings) else Fate.DEAD
