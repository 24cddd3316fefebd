"""The signer's own tables, and what it reads beside them to judge a claim: all in one transaction, under one lock.

In: claim ids. Out: Facts of each; and the writing of what was judged good. The isolation is read committed: the lock
comes first, so each later statement sees what the transaction before it booked; each foreign table is read once.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claim_api.ledger.reserve import MAX_ALLOCATIONS
from claim_api.signer.sql import sql

DatabaseConnection = Any


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim as the ledger says it: nothing of it is believed."""

    claim_id: int
    viewer_key: int
    wallet: str
    mint: str
    amount_base_units: int
    fee: str
    state: str


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """An allocation as the ledger says it, beside what the read models and the books say. increase_base_units: None
    where the read models have no such leaf of that viewer. signed_for: the claim under which the books have it."""

    viewer_key: int
    channel: str
    epoch_start_s: int
    revision: int
    amount_base_units: int
    increase_base_units: int | None
    stopped: bool
    signed_for: int | None


@dataclass(frozen=True, slots=True)
class Binding:
    """The wallet in force for a viewer, and what its owner signed."""

    wallet: str
    message: bytes
    signature: bytes
    form: str


@dataclass(frozen=True, slots=True)
class BookedClaim:
    """What was signed for under this id."""

    viewer_key: int
    wallet: str
    amount_base_units: int
    marker: str
    marker_seed: str
    allocations: int


@dataclass(frozen=True, slots=True)
class BookedAttempt:
    """The newest attempt of a claim."""

    attempt: int
    blockhash: str
    last_valid_block_height: int
    message: bytes
    marker: str
    marker_seed: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a claim is judged by."""

    claim: ClaimRow | None
    allocations: Sequence[AllocationRow]
    binding: Binding | None
    booked: BookedClaim | None
    attempt: BookedAttempt | None


@dataclass(frozen=True, slots=True)
class Switches:
    """The operator's. daily_cap_base_units: None where no cap is set."""

    frozen_because: str | None
    daily_cap_base_units: int | None
    day: datetime.date
    signed_today_base_units: int


@dataclass(slots=True)
class Entry:
    """What a good claim adds to the books: itself, where it was never signed, and an attempt."""

    facts: Facts
    marker: str
    marker_seed: str
    attempt: int
    blockhash: str
    last_valid_block_height: int
    message: bytes


@dataclass(slots=True)
class Books:
    """One transaction's view."""

    switches: Switches
    facts: Mapping[int, Facts]
    entries: list[Entry] = field(default_factory=list)


MAX_READ: Final = MAX_ALLOCATIONS + 1


async def latest_attempts(connection: DatabaseConnection, claim_ids: Sequence[int]) -> dict[int, BookedAttempt]:
    """The newest attempt of each claim that has one."""
    rows = await connection.fetch(sql("latest_attempts"), claim_ids)
    return {
        row["claim_id"]: BookedAttempt(
            row["attempt"],
            row["blockhash"],
            row["last_valid_block_height"],
            row["message"],
            row["marker"],
            row["marker_seed"],
        )
        for row in rows
    }


async def messages_of(connection: DatabaseConnection, claim_ids: Sequence[int]) -> dict[int, set[bytes]]:
    """Every message that was ever signed for each of these claims."""
    found: dict[int, set[bytes]] = {claim_id: set() for claim_id in claim_ids}
    for row in await connection.fetch(sql("messages_of"), claim_ids):
        found[row["claim_id"]].add(row["message"])
    return found


async def read_switches(connection: DatabaseConnection) -> Switches:
    """The operator's switches and the day's sum."""
    row = await connection.fetchrow(sql("switches"))
    day = await connection.fetchval(sql("day"))
    cap = row["daily_cap_base_units"]
    return Switches(
        (row["frozen_because"] or "no reason was noted") if row["frozen"] else None,
        None if cap is None else int(cap),
        day,
        int(await connection.fetchval(sql("signed_on"), day)),
    )


async def open_books(connection: DatabaseConnection, claim_ids: Sequence[int]) -> Books:
    """connection: inside a transaction that has done nothing yet. Holds the lock until it ends."""
    await connection.execute(sql("lock_books"))
    switches = await read_switches(connection)
    claims = {
        row["claim_id"]: ClaimRow(**{**row, "amount_base_units": int(row["amount_base_units"])})
        for row in await connection.fetch(sql("claims"), claim_ids)
    }
    allocations: dict[int, list[AllocationRow]] = {claim_id: [] for claim_id in claim_ids}
    for row in await connection.fetch(sql("allocations"), claim_ids, MAX_READ):
        allocations[row["claim_id"]].append(_allocation(row))
    viewers = sorted({claim.viewer_key for claim in claims.values()})
    bindings = {
        row["viewer_key"]: Binding(row["wallet"], row["message"], row["signature"], row["form"])
        for row in await connection.fetch(sql("bindings"), viewers)
    }
    booked = await _booked(connection, claim_ids)
    attempts = await latest_attempts(connection, claim_ids)
    facts = {}
    for claim_id in claim_ids:
        claim = claims.get(claim_id)
        binding = None if claim is None else bindings.get(claim.viewer_key)
        facts[claim_id] = Facts(claim, allocations[claim_id], binding, booked.get(claim_id), attempts.get(claim_id))
    return Books(switches, facts)


async def message_of(connection: DatabaseConnection, claim_id: int, attempt: int) -> bytes | None:
    """What the books say was signed as that attempt."""
    found: bytes | None = await connection.fetchval(sql("message_of_attempt"), claim_id, attempt)
    return found


async def newest_attempt(connection: DatabaseConnection) -> tuple[int, int, bytes] | None:
    """Claim, attempt and message of what was booked last."""
    row = await connection.fetchrow(sql("newest_attempt"))
    return None if row is None else (row["claim_id"], row["attempt"], row["message"])


async def write(connection: DatabaseConnection, books: Books) -> None:
    """The entries, in the transaction of open_books."""
    new = [one for one in books.entries if one.facts.booked is None]
    if new:
        claims = [one.facts.claim for one in new if one.facts.claim is not None]
        await connection.execute(
            sql("book_claims"),
            [one.claim_id for one in claims],
            [one.viewer_key for one in claims],
            [one.wallet for one in claims],
            [one.amount_base_units for one in claims],
            [one.marker for one in new],
            [one.marker_seed for one in new],
            books.switches.day,
        )
        pairs = [(row, claim.claim_id) for one, claim in zip(new, claims, strict=True) for row in one.facts.allocations]
        await connection.execute(
            sql("book_allocations"),
            [row.viewer_key for row, _ in pairs],
            [row.channel for row, _ in pairs],
            [row.epoch_start_s for row, _ in pairs],
            [row.revision for row, _ in pairs],
            [claim_id for _, claim_id in pairs],
        )
    if books.entries:
        await connection.execute(
            sql("book_attempts"),
            [one.facts.claim.claim_id for one in books.entries if one.facts.claim is not None],
            [one.attempt for one in books.entries],
            [one.blockhash for one in books.entries],
            [one.last_valid_block_height for one in books.entries],
            [one.message for one in books.entries],
        )


async def _booked(connection: DatabaseConnection, claim_ids: Sequence[int]) -> dict[int, BookedClaim]:
    counts = {
        row["claim_id"]: row["allocations"] for row in await connection.fetch(sql("booked_allocations"), claim_ids)
    }
    return {
        row["claim_id"]: BookedClaim(
            row["viewer_key"],
            row["wallet"],
            int(row["amount_base_units"]),
            row["marker"],
            row["marker_seed"],
            counts.get(row["claim_id"], 0),
        )
        for row in await connection.fetch(sql("booked_claims"), claim_ids)
    }


def _allocation(row: Any) -> AllocationRow:
    increase = row["increase_base_units"]
    return AllocationRow(
        row["viewer_key"],
        row["channel"],
        row["epoch_start_s"],
        row["revision"],
        int(row["amount_base_units"]),
        None if increase is None else int(increase),
        row["stopped"],
        row["signed_for"],
    )
