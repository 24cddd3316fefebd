"""What the ledger holds, as values. Amounts are integers of base units; times are UTC."""

from datetime import datetime
from typing import Any, Literal

import msgspec

State = Literal["reserved", "signed", "confirmed", "held"]
Fee = Literal["server", "viewer", "action"]


class AllocationKey(msgspec.Struct, frozen=True, order=True):
    """Names one allocation of a viewer for ever."""

    channel: str
    epoch_start_s: int
    revision: int

    def __str__(self) -> str:
        return f"{self.channel} epoch {self.epoch_start_s} revision {self.revision}"


class ClaimAllocation(msgspec.Struct, frozen=True):
    """One allocation as it was reserved. login: the channel's, as of that seal."""

    channel: str
    login: str
    epoch_start_s: int
    revision: int
    amount_base_units: int


class Claim(msgspec.Struct, frozen=True):
    """One claim with what it pays. signature: of the attempt that may land, or that landed."""

    claim_id: int
    viewer_key: int
    wallet: str
    mint: str
    amount_base_units: int
    fee: Fee
    state: State
    reserved_at: datetime
    signed_at: datetime | None
    sent_at: datetime | None
    confirmed_at: datetime | None
    signature: str | None
    slot: int | None
    held_because: str | None
    allocations: tuple[ClaimAllocation, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """One viewer's sums. claimable leaves out channels that wait for an operator's ruling; pending is reserved or
    signed or held, claimed is confirmed."""

    entitled_base_units: int
    claimed_base_units: int
    pending_base_units: int
    claimable_base_units: int


class AllocationState(msgspec.Struct, frozen=True):
    """Where one allocation stands. claim_id: of the claim that has it."""

    state: Literal["claimable", "pending", "claimed"]
    claim_id: int | None


CLAIM_FIELDS = tuple(name for name in Claim.__struct_fields__ if name != "allocations")


def claim_of(row: Any, allocations: tuple[ClaimAllocation, ...] = ()) -> Claim:
    """A Claim of a row that has its columns."""
    values = {name: row[name] for name in CLAIM_FIELDS}
    values["amount_base_units"] = int(values["amount_base_units"])
    return Claim(**values, allocations=allocations)
