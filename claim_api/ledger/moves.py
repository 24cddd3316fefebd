"""Payer: every change of a claim's state. docs/claims.md, Ledger.

In: a pool of role twzrd_payer. Out: which claims moved; a claim that another payer has moved meanwhile is not among
them, and that is no error. Each move is one statement: compare-and-set, audit log, notice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from claim_api.ledger.rows import Claim, claim_of
from claim_api.ledger.sql import sql

RESERVED_NOTIFY: Final = "twzrd_claims"
"""LISTEN on this: a claim was reserved, or an operator retries one; the payload is its id."""
STATES_NOTIFY: Final = "twzrd_claim_states"
"""LISTEN on this: a claim's state, or that it was sent, changed; the payload is its id."""


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """A transaction that is complete but for what the viewer adds: to be stored before anything is sent. signature:
    the fee payer's; None where only the marker will tell (an action)."""

    claim_id: int
    attempt: int
    signature: str | None
    blockhash: str
    last_valid_block_height: int
    transaction: bytes
    marker: str

    @property
    def key(self) -> tuple[int, int]:
        return self.claim_id, self.attempt


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that may land, as the ledger has it. since_sent_s: None where it was never sent."""

    claim_id: int
    attempt: int
    signature: str | None
    blockhash: str
    last_valid_block_height: int
    transaction: bytes
    sends: int
    error: str | None
    since_sent_s: float | None
    age_s: float
    marker: str
    fee: str

    @property
    def key(self) -> tuple[int, int]:
        return self.claim_id, self.attempt


@dataclass(frozen=True, slots=True)
class Landed:
    """An open attempt is final on the chain, without an error."""

    claim_id: int
    attempt: int
    signature: str
    slot: int


class Moves:
    """The payer's side of the ledger."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def take_reserved(self, limit: int, lease_s: float, longest_s: float) -> list[tuple[Claim, int]]:
        """Reserved claims whose fee the server pays, and the number of their attempts so far; ours for lease_s.
        longest_s: nothing waits longer by right."""
        rows = await self._pool.fetch(sql("take_reserved"), limit, lease_s, longest_s)
        return [(claim_of(row), row["attempts"]) for row in rows]

    async def next_due_s(self) -> float | None:
        """Seconds until a reserved claim is due (less than 0: it is); None where there is none."""
        due: float | None = await self._pool.fetchval(sql("next_due_s"))
        return due

    async def claim(self, claim_id: int) -> tuple[Claim, int] | None:
        """One claim and the number of its attempts so far."""
        row = await self._pool.fetchrow(sql("payable_claim"), claim_id)
        return None if row is None else (claim_of(row), row["attempts"])

    async def store(self, attempts: Sequence[NewAttempt]) -> set[int]:
        """reserved -> signed, all in one transaction; the claims that moved."""
        if not attempts:
            return set()
        names = ("claim_id", "attempt", "signature", "blockhash", "last_valid_block_height", "transaction", "marker")
        columns = [[getattr(one, name) for one in attempts] for name in names]
        return _ids(await self._pool.fetch(sql("store_attempts"), *columns))

    async def note_sent(self, sent: Sequence[tuple[OpenAttempt | NewAttempt, str | None]]) -> None:
        """These were sent once more; beside each what the nodes said against it, if anything."""
        if not sent:
            return
        ids = [one.claim_id for one, _ in sent]
        await self._pool.execute(sql("note_sends"), ids, [one.attempt for one, _ in sent], [error for _, error in sent])
        await self._pool.fetch(sql("note_first_sends"), ids)

    async def open_attempts(self, after_claim_id: int, limit: int) -> list[OpenAttempt]:
        """Attempts whose fate is open, by claim."""
        return [OpenAttempt(**row) for row in await self._pool.fetch(sql("open_attempts"), after_claim_id, limit)]

    async def confirm(self, landed: Sequence[Landed]) -> Mapping[int, float]:
        """signed -> confirmed; of each that moved how many seconds it took from its reservation."""
        if not landed:
            return {}
        columns = [[getattr(one, name) for one in landed] for name in ("claim_id", "attempt", "signature", "slot")]
        return _took_s(await self._pool.fetch(sql("confirm_attempts"), *columns))

    async def confirm_landed(self, claim_id: int, attempt: int, signature: str, slot: int) -> Mapping[int, float]:
        """Whatever the state -> confirmed, since the chain shows the claim paid by this attempt; as confirm."""
        return _took_s(await self._pool.fetch(sql("confirm_landed"), claim_id, attempt, signature, slot))

    async def give_up(
        self,
        one: OpenAttempt,
        fate: Literal["expired", "failed"],
        *,
        error: str | None,
        held_because: str | None,
        wait_s: float,
    ) -> bool:
        """signed -> reserved after wait_s, or held. Whether it moved."""
        rows = await self._pool.fetch(
            sql("give_up_attempt"), one.claim_id, one.attempt, fate, error, held_because, wait_s
        )
        return bool(rows)

    async def hold(self, claim_id: int, because: str) -> bool:
        """reserved -> held. Whether it moved."""
        return bool(await self._pool.fetch(sql("hold_reserved"), claim_id, because))

    async def postpone(self, waits_s: Mapping[int, float]) -> None:
        """Reserved claims are not taken again before so many seconds."""
        if waits_s:
            await self._pool.execute(sql("postpone_reserved"), list(waits_s), list(waits_s.values()))

    async def attempts_of(self, claim_id: int) -> list[tuple[int, bytes]]:
        """Every attempt of a claim that was stored, with its bytes."""
        rows = await self._pool.fetch(sql("stored_attempts"), claim_id)
        return [(row["attempt"], row["transaction"]) for row in rows]

    async def marker_of(self, claim_id: int) -> str | None:
        """The claim's marker, where it was ever signed for."""
        found: str | None = await self._pool.fetchval(sql("marker_of"), claim_id)
        return found

    async def returned(self, after_claim_id: int, limit: int) -> list[tuple[int, str]]:
        """(claim id, marker) of reserved claims with an attempt that was given up, which wait for their viewer."""
        rows = await self._pool.fetch(sql("returned"), after_claim_id, limit)
        return [(row["claim_id"], row["marker"]) for row in rows]

    async def counts(self) -> Mapping[str, tuple[int, float]]:
        """Of each state but confirmed: how many, and the age of the oldest in seconds."""
        return {
            row["state"]: (row["claims"], row["oldest_s"]) for row in await self._pool.fetch(sql("counts_by_state"))
        }

    async def markers_due(
        self, final_for_s: float, after_claim_id: int, limit: int, height: int
    ) -> list[tuple[int, str, str]]:
        """(claim id, marker, seed) of confirmed claims whose rent may be taken back; none of them has an attempt that
        can land above that block height."""
        rows = await self._pool.fetch(sql("markers_due"), final_for_s, after_claim_id, limit, height)
        return [(row["claim_id"], row["marker"], row["marker_seed"]) for row in rows]

    async def rent_returned(self, claim_ids: Sequence[int]) -> set[int]:
        """These markers are gone from the chain."""
        return _ids(await self._pool.fetch(sql("rent_returned"), list(claim_ids))) if claim_ids else set()


def _ids(rows: Sequence[Any]) -> set[int]:
    return {row["claim_id"] for row in rows}


def _took_s(rows: Sequence[Any]) -> Mapping[int, float]:
    return {row["claim_id"]: row["took_s"] for row in rows}
