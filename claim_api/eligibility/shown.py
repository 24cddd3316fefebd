"""What a viewer has earned, as JSON.

In: rows of the queries. Out: what docs/claims.md calls Allocation, totals and weeks.
"""

from collections.abc import Sequence
from typing import Any, Final

from claim_api.ledger.rows import Totals
from claim_api.payments.view import display

WEEK_S: Final = 604_800
FIRST_MONDAY_S: Final = 345_600
"""1970-01-05, UTC."""
WEEKS: Final = 26


def amount(base_units: int) -> dict[str, str]:
    """Base units, and the same for people."""
    return {"base_units": str(base_units), "display": display(base_units)}


def totals_json(totals: Totals) -> dict[str, dict[str, str]]:
    """All four sums."""
    return {
        "entitled": amount(totals.entitled_base_units),
        "claimed": amount(totals.claimed_base_units),
        "pending": amount(totals.pending_base_units),
        "claimable": amount(totals.claimable_base_units),
    }


def allocation_json(row: Any) -> dict[str, Any]:
    """One Allocation. stopped: its channel waits for an operator's ruling and cannot be claimed meanwhile."""
    channel, start_s, revision = row["channel"], row["epoch_start_s"], row["revision"]
    return {
        "seal_id": row["seal_id"],
        "channel": channel,
        "login": row["login"],
        "epoch_start_s": start_s,
        "revision": revision,
        "leaf_index": row["leaf_index"],
        "weight_centi": str(row["weight_centi"]),
        **amount(int(row["amount_base_units"])),
        "state": state_of(row["claim_state"]),
        "stopped": row["stopped"],
        "claim_id": row["claim_id"],
        "observed_ms": row["observed_ms"],
        "absent_ms": row["absent_ms"],
        "epoch_length_s": row["epoch_length_s"],
        "proof": f"/v1/me/proof?channel={channel}&epoch={start_s}&revision={revision}",
        "evidence": f"/v1/epochs/{channel}/{start_s}?revision={revision}",
    }


def state_of(claim_state: str | None) -> str:
    """Of an allocation, by the state of the claim that has it."""
    if claim_state is None:
        return "claimable"
    return "claimed" if claim_state == "confirmed" else "pending"


def first_week_s(now_s: int) -> int:
    """The Monday on which the oldest of the last WEEKS weeks began."""
    return (now_s - FIRST_MONDAY_S) // WEEK_S * WEEK_S + FIRST_MONDAY_S - (WEEKS - 1) * WEEK_S


def weeks_json(rows: Sequence[Any], first_s: int) -> list[dict[str, Any]]:
    """All weeks from first_s on, oldest first; those without an hour are zero."""
    known = {row["week_start_s"]: row for row in rows}
    weeks = []
    for start_s in range(first_s, first_s + WEEKS * WEEK_S, WEEK_S):
        row = known.get(start_s)
        base_units, hours, observed_ms = (
            (0, 0, 0) if row is None else (int(row["base_units"]), row["hours"], row["observed_ms"])
        )
        weeks.append({"week_start_s": start_s, **amount(base_units), "hours": hours, "observed_ms": observed_ms})
    return weeks
