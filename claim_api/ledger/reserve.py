"""Web: a viewer's allocations become a claim, each of them once and for ever. docs/claims.md, Ledger, step 1.

In: who, where to, and which allocations or all. Out: the Claim, in the transaction of the caller, or ClaimRefused with
nothing written. What makes a second reservation impossible is the primary key of claims.claim_allocations; the lock on
the viewer only spares two requests of one viewer the collision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from claim_api.ledger.errors import ClaimRefused, Refusal
from claim_api.ledger.rows import AllocationKey, Claim, ClaimAllocation, Fee, claim_of
from claim_api.ledger.sql import sql

MAX_ALLOCATIONS: Final = 1000
"""Of one claim; "all" takes the oldest so many, and the rest waits for the next claim."""
FROZEN_S: Final = 60
"""After which to ask again whether claims are frozen still."""
MAX_BASE_UNITS: Final = 2**63 - 1
"""Of one claim: what the signer's terms hold."""

Wanted = Literal["all"] | Sequence[AllocationKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one reservation may be, in base units; a day is one of UTC by the database's clock; 0: no limit."""

    minimum_base_units: int = 1
    viewer_day_base_units: int = 0
    wallet_day_base_units: int = 0
    allocations: int = MAX_ALLOCATIONS


async def reserve(
    connection: Any, viewer_key: int, wallet: str | None, mint: str, fee: Fee, wanted: Wanted, limits: Limits
) -> Claim:
    """Reserve. connection: inside a transaction of role twzrd_web, which the caller rolls back on any error. wallet:
    the one the viewer means, refused where it is not in force; None takes the one in force.

    Raises ClaimRefused.
    """
    await connection.execute(sql("lock_viewer"), viewer_key)
    may = await connection.fetchrow(sql("may_reserve"), viewer_key)
    if may["frozen_because"] is not None:
        because = may["frozen_because"]
        raise ClaimRefused(
            Refusal.FROZEN, f"claims are frozen: {because}", "try again later; nothing is lost", FROZEN_S
        )
    wallet = _wallet(may["wallet"], viewer_key, wallet)
    if wanted == "all":
        rows = await _all(connection, viewer_key, limits)
    else:
        rows = await _named(connection, viewer_key, wanted, limits)
    amount = sum(int(row["amount_base_units"]) for row in rows)
    await _within(connection, viewer_key, wallet, amount, limits)
    columns = [[row[name] for row in rows] for name in ("channel", "epoch_start_s", "revision", "seal_id")]
    amounts = [row["amount_base_units"] for row in rows]
    made = await connection.fetchrow(
        sql("insert_reservation"), viewer_key, wallet, mint, amount, fee, *columns, amounts
    )
    if made["taken"] != len(rows):  # another transaction has one of them, committed just now
        raise ClaimRefused(
            Refusal.ALREADY_CLAIMED,
            f"{len(rows) - made['taken']} of {len(rows)} allocations were claimed a moment ago",
            "look at GET /v1/claims, then claim what is left",
        )
    return claim_of(made, tuple(sorted(map(_allocation, rows), key=_order)))


def _order(one: ClaimAllocation) -> tuple[str, int, int]:
    return one.channel, one.epoch_start_s, one.revision


def _allocation(row: Any) -> ClaimAllocation:
    return ClaimAllocation(
        row["channel"], row["login"] or "", row["epoch_start_s"], row["revision"], int(row["amount_base_units"])
    )


def _wallet(in_force: str | None, viewer_key: int, wallet: str | None) -> str:
    if in_force is None:
        raise ClaimRefused(
            Refusal.NO_WALLET, f"viewer {viewer_key} has no wallet in force", "bind one at /v1/wallet/challenge"
        )
    if wallet is not None and wallet != in_force:
        raise ClaimRefused(
            Refusal.WALLET_NOT_IN_FORCE,
            f"wallet {wallet[:64]} is not in force; {in_force} is",
            "claim to that one, or bind another and wait until it is in force",
        )
    return in_force


async def _all(connection: Any, viewer_key: int, limits: Limits) -> list[Any]:
    rows: list[Any] = []
    total = 0
    for row in await connection.fetch(sql("claimable_of_viewer"), viewer_key, limits.allocations):
        total += int(row["amount_base_units"])
        if total > MAX_BASE_UNITS:
            break
        rows.append(row)
    if not rows:
        raise ClaimRefused(
            Refusal.NOTHING_TO_CLAIM,
            f"viewer {viewer_key} has nothing that is not claimed already",
            "take part in a channel and come back when its hour is sealed",
        )
    return rows


async def _named(connection: Any, viewer_key: int, wanted: Sequence[AllocationKey], limits: Limits) -> list[Any]:
    keys = sorted(set(wanted))
    if not keys:
        raise ClaimRefused(Refusal.NOTHING_TO_CLAIM, "no allocation is named", 'name some, or say "all"')
    if len(keys) > limits.allocations:
        raise ClaimRefused(
            Refusal.TOO_LARGE,
            f"{len(keys)} allocations in one claim, over the bound of {limits.allocations}",
            "claim them in several",
        )
    columns = [[one.channel for one in keys], [one.epoch_start_s for one in keys], [one.revision for one in keys]]
    rows = await connection.fetch(sql("named_of_viewer"), viewer_key, *columns)
    for row in rows:
        key = AllocationKey(row["channel"], row["epoch_start_s"], row["revision"])
        if row["claim_id"] is not None:
            raise ClaimRefused(
                Refusal.ALREADY_CLAIMED, f"{key} stands in claim {row['claim_id']}", "leave it out, or look at that one"
            )
        if row["amount_base_units"] is None:
            raise ClaimRefused(
                Refusal.NO_ALLOCATION, f"viewer {viewer_key} has no allocation {key}", "list them at /v1/eligibility"
            )
        if row["stopped"]:
            raise ClaimRefused(
                Refusal.NO_ALLOCATION, f"{key} is of a channel that waits for a ruling", "try again when it has gone on"
            )
    return list(rows)


async def _within(connection: Any, viewer_key: int, wallet: str, amount: int, limits: Limits) -> None:
    if amount < limits.minimum_base_units:
        raise ClaimRefused(
            Refusal.BELOW_MINIMUM,
            f"the claim is {amount} base units, below the least of {limits.minimum_base_units}",
            "claim more at once",
        )
    if amount > MAX_BASE_UNITS:
        raise ClaimRefused(
            Refusal.TOO_LARGE, f"the claim is {amount} base units, over {MAX_BASE_UNITS}", "claim fewer at once"
        )
    if limits.viewer_day_base_units:
        had = int(await connection.fetchval(sql("reserved_today_by_viewer"), viewer_key))
        await _day(connection, f"viewer {viewer_key}", had, amount, limits.viewer_day_base_units)
    if limits.wallet_day_base_units:
        await connection.execute(sql("lock_wallet"), wallet)
        had = int(await connection.fetchval(sql("reserved_today_to_wallet"), wallet))
        await _day(connection, f"wallet {wallet}", had, amount, limits.wallet_day_base_units)


async def _day(connection: Any, whose: str, had: int, amount: int, limit: int) -> None:
    if had + amount > limit:
        raise ClaimRefused(
            Refusal.OVER_LIMIT,
            f"{whose} has reserved {had} base units today; {amount} more are over the daily limit of {limit}",
            "claim fewer allocations, or again after midnight UTC",
            await connection.fetchval(sql("seconds_of_day_left")),
        )
