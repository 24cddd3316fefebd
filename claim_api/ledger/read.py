"""Reading the ledger: claims, totals and states of one viewer.

In: a connection or pool of any of the three roles. Out: claim_api.ledger.rows. Lists are bounded by `limit`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from claim_api.ledger.rows import AllocationKey, AllocationState, Claim, ClaimAllocation, Totals, claim_of
from claim_api.ledger.sql import sql

MAX_LIMIT: Final = 100
_FAR_ID: Final = 2**63 - 1


class Database(Protocol):
    """An asyncpg connection or pool, or claim_api.web_database."""

    async def fetch(self, query: str, *args: object) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: object) -> Any: ...


async def claim_of_viewer(db: Database, viewer_key: int, claim_id: int) -> Claim | None:
    """That claim, if it is this viewer's."""
    row = await db.fetchrow(sql("claim_of_viewer"), viewer_key, claim_id)
    return None if row is None else (await _with_allocations(db, [row]))[0]


async def claims_of_viewer(db: Database, viewer_key: int, before_id: int | None = None, limit: int = 20) -> list[Claim]:
    """The viewer's claims, newest first, from below before_id."""
    before = _FAR_ID if before_id is None else before_id
    rows = await db.fetch(sql("claims_of_viewer"), viewer_key, before, max(1, min(limit, MAX_LIMIT)))
    return await _with_allocations(db, rows)


async def last_error(db: Database, claim_id: int) -> str | None:
    """What the chain, or a node that did not take it, said of the claim's last attempt; None: nothing."""
    row = await db.fetchrow(sql("last_error"), claim_id)
    return None if row is None else row["error"]


async def totals_of_viewer(db: Database, viewer_key: int) -> Totals:
    """Sums of all allocations of the viewer and of what became of them."""
    row = await db.fetchrow(sql("totals_of_viewer"), viewer_key)
    return Totals(**{name: int(value) for name, value in row.items()})


async def states_of_allocations(
    db: Database, viewer_key: int, keys: Sequence[AllocationKey]
) -> Mapping[AllocationKey, AllocationState]:
    """Where each of these stands; one that no claim has is claimable."""
    found: dict[AllocationKey, AllocationState] = dict.fromkeys(keys, AllocationState("claimable", None))
    columns = [[one.channel for one in keys], [one.epoch_start_s for one in keys], [one.revision for one in keys]]
    for row in await db.fetch(sql("states_of_allocations"), viewer_key, *columns):
        key = AllocationKey(row["channel"], row["epoch_start_s"], row["revision"])
        state = AllocationState("claimed" if row["state"] == "confirmed" else "pending", row["claim_id"])
        found[key] = state
    return found


async def _with_allocations(db: Database, rows: Sequence[Any]) -> list[Claim]:
    of_claim: dict[int, list[ClaimAllocation]] = {row["claim_id"]: [] for row in rows}
    for row in await db.fetch(sql("allocations_of_claims"), list(of_claim)):
        of_claim[row["claim_id"]].append(
            ClaimAllocation(
                row["channel"], row["login"], row["epoch_start_s"], row["revision"], int(row["amount_base_units"])
            )
        )
    return [claim_of(row, tuple(of_claim[row["claim_id"]])) for row in rows]
