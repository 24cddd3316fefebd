"""What must be true at the end of every history, whatever happened in it. Pure: evidence in, faults in words out."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tests.integration.claims.histories import acts
from tests.integration.claims.histories.evidence import Evidence

LOOKS_TO_FOOL: Final = 2
"""Looks at nobody but liars that it takes to make the ledger give up what may still land."""


def faults(found: Evidence) -> list[str]:
    """Empty where all is well."""
    return [
        *_supply(found),
        *_confirmed(found),
        *_wallets(found),
        *_allocations(found),
        *_totals(found),
        *_ends(found),
        *_books(found),
        *_two_alive(found),
        *_given_up(found),
        *_switches(found),
    ]


def _supply(found: Evidence) -> Iterator[str]:
    confirmed = sum(int(row["amount_base_units"]) for row in found.claims if row["state"] == "confirmed")
    if found.supply != found.starting_supply + confirmed:
        yield f"supply: {found.supply} on the chain, {confirmed} confirmed on top of {found.starting_supply}"


def _confirmed(found: Evidence) -> Iterator[str]:
    landed = {one.signature: one for one in found.landed}
    for row in _in_state(found, "confirmed"):
        paid = landed.get(row["signature"])
        if paid is None:
            yield f"claim {row['claim_id']} is confirmed by {row['signature']}, which paid nobody"
        elif dict(paid.gained) != {row["wallet"]: int(row["amount_base_units"])}:
            due = f"{row['amount_base_units']} to {row['wallet']}"
            yield f"claim {row['claim_id']} is {due}, the chain says {paid.gained}"
    doubled = Counter(row["signature"] for row in _in_state(found, "confirmed"))
    yield from (f"{one} confirms {times} claims" for one, times in doubled.items() if times > 1)


def _wallets(found: Evidence) -> Iterator[str]:
    due: Counter[str] = Counter()
    for row in _in_state(found, "confirmed"):
        due[row["wallet"]] += int(row["amount_base_units"])
    for wallet, held in found.balances.items():
        if held != due[wallet]:
            yield f"wallet {wallet} holds {held}; its confirmed claims are {due[wallet]}"


def _allocations(found: Evidence) -> Iterator[str]:
    of_claims = Counter(key for key, _ in found.allocations)
    yield from (f"allocation {key} stands in {times} claims" for key, times in of_claims.items() if times > 1)
    for row in found.claims:
        if int(row["allocated"] or 0) != int(row["amount_base_units"]):
            yield f"claim {row['claim_id']} is {row['amount_base_units']}, its allocations are {row['allocated']}"


def _totals(found: Evidence) -> Iterator[str]:
    for viewer, one in found.totals.items():
        parts = one.claimable_base_units + one.pending_base_units + one.claimed_base_units
        if parts != one.entitled_base_units:
            yield f"viewer {viewer}: {one} does not add up"


def _ends(found: Evidence) -> Iterator[str]:
    """Every claim has come to an end that the history explains."""
    done = Counter(type(one) for one in found.history.acts)
    held = {
        "wallet_not_in_force": done[acts.Rebind] > 0,
        "marker_taken": _fooled(found),
        "marker_unknown": _fooled(found),
    }
    for row in found.claims:
        name = f"claim {row['claim_id']} ({row['fee']} pays)"
        match row["state"]:
            case "confirmed":
                pass
            case "held":
                reason = str(row["held_because"]).partition(":")[0]
                if not held.get(reason):
                    yield f"{name} is held, and nothing explains it: {row['held_because']}"
            case "reserved" if row["fee"] != "server":
                pass  # its viewer never came back
            case state:
                yield f"{name} is still {state} after {row['attempts']} attempts"


def _books(found: Evidence) -> Iterator[str]:
    booked = {one.message: one for one in found.booked}
    paid: Counter[int] = Counter()
    for landed in found.landed:
        one = booked.get(landed.message)
        if one is None:
            yield f"{landed.signature} paid {landed.gained}, and the signer's books do not have it"
        else:
            paid[one.claim_id] += 1
    yield from (f"claim {claim} was paid {times} times" for claim, times in paid.items() if times > 1)
    yield from (f"the books' sum of {day} is not that of its claims" for day in found.days_apart)


def _two_alive(found: Evidence) -> Iterator[str]:
    if _fooled(found):
        return
    for one, later in zip(found.booked, found.booked[1:], strict=False):
        if one.claim_id != later.claim_id or one.slot is None or later.slot is None or one.message in found.failed:
            continue
        if later.slot <= one.last_slot:
            yield (
                f"claim {one.claim_id}: attempt {later.attempt} was signed in slot {later.slot}, and attempt "
                f"{one.attempt} could land until {one.last_slot}"
            )


def _given_up(found: Evidence) -> Iterator[str]:
    if _fooled(found):
        return
    landed = {one.message for one in found.landed}
    messages = {(one.claim_id, one.attempt): one.message for one in found.booked}
    for claim, attempt in found.given_up:
        if messages.get((claim, attempt)) in landed:
            yield f"claim {claim}: attempt {attempt} was given up, and landed"


def _switches(found: Evidence) -> Iterator[str]:
    if found.signed_while_frozen:
        yield f"{found.signed_while_frozen} attempts were signed for while signing was frozen"
    yield from found.over_cap


def _fooled(found: Evidence) -> bool:
    return found.lies >= LOOKS_TO_FOOL


def _in_state(found: Evidence, state: str) -> list[Any]:
    return [row for row in found.claims if row["state"] == state]
