"""What the signer checks of a claim before it signs, pure: facts in, nothing or the first refusal out.

docs/claims.md, What the signer checks. Nothing of the ledger is believed: not the wallet, not the amount, not whose an
allocation is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from claim_api.ledger.reserve import MAX_ALLOCATIONS
from claim_api.signer.books import Binding, ClaimRow, Facts, Switches
from claim_api.signer.protocol import Code
from schemas.errors import TwzrdError
from streams.chain.errors import TermsError
from streams.chain.marker import PaidAllocation, marker_seed

PAYABLE: Final = ("reserved", "signed")


class CheckFailed(TwzrdError):
    """The claim is not signed for."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Final = code


VerifyBinding = Callable[[Binding, str], None]
"""Given the binding and the viewer's identity; raises TwzrdError where the signed message does not name both, or its
signature is not the wallet's."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What the checks go by, besides the facts. mint: the configured one."""

    mint: str
    marker_secret: bytes
    server_fee_payer: Pubkey
    verify_binding: VerifyBinding

    def claim(self, facts: Facts, switches: Switches, fee: str) -> ClaimRow:
        """The claim exists, may be paid, and by this way. Raises CheckFailed, as all of these do."""
        if switches.frozen_because is not None:
            raise CheckFailed(Code.FROZEN, f"signing is frozen: {switches.frozen_because}")
        claim = facts.claim
        if claim is None:
            raise CheckFailed(Code.NO_CLAIM, "the ledger has no such claim")
        if claim.state not in PAYABLE:
            raise CheckFailed(Code.WRONG_STATE, f"the claim is {claim.state}, not {' or '.join(PAYABLE)}")
        if claim.mint != self.mint:
            raise CheckFailed(Code.WRONG_MINT, f"the claim is of mint {claim.mint}, not {self.mint}")
        if claim.fee != fee:
            raise CheckFailed(Code.WRONG_FEE, f"the claim's fee is paid by {claim.fee}, not {fee}")
        return claim

    def payment(self, claim: ClaimRow, facts: Facts) -> str:
        """Wallet and allocations; the marker's seed."""
        self._wallet(claim, facts.binding)
        self._allocations(claim, facts)
        paid = [PaidAllocation(one.channel, one.epoch_start_s, one.revision) for one in facts.allocations]
        try:
            seed = marker_seed(self.marker_secret, claim.viewer_key, paid)
        except TermsError as error:
            raise CheckFailed(Code.WRONG_TERMS, str(error)) from error
        self._unchanged(claim, facts, seed)
        return seed

    def _wallet(self, claim: ClaimRow, binding: Binding | None) -> None:
        if binding is None:
            raise CheckFailed(Code.NO_WALLET, f"viewer {claim.viewer_key} has no wallet in force")
        if binding.wallet != claim.wallet:
            raise CheckFailed(Code.WALLET_NOT_IN_FORCE, f"the claim pays {claim.wallet}; in force is {binding.wallet}")
        try:
            self.verify_binding(binding, f"twitch:id:{claim.viewer_key}")
        except TwzrdError as error:
            raise CheckFailed(
                Code.BINDING_INVALID, f"the binding of {binding.wallet} does not hold: {error}"
            ) from error

    def _allocations(self, claim: ClaimRow, facts: Facts) -> None:
        if len(facts.allocations) > MAX_ALLOCATIONS:
            raise CheckFailed(Code.TOO_MANY_ALLOCATIONS, f"the claim has more than {MAX_ALLOCATIONS} allocations")
        for one in facts.allocations:
            name = f"{one.channel} epoch {one.epoch_start_s} revision {one.revision}"
            if one.viewer_key != claim.viewer_key:
                raise CheckFailed(
                    Code.FOREIGN_ALLOCATION, f"{name} is viewer {one.viewer_key}'s, not viewer {claim.viewer_key}'s"
                )
            if one.signed_for is not None and one.signed_for != claim.claim_id:
                raise CheckFailed(Code.SIGNED_ELSEWHERE, f"{name} was signed for under claim {one.signed_for}")
            if not one.increase_base_units:
                raise CheckFailed(Code.NO_ALLOCATION, f"{name} gives viewer {one.viewer_key} nothing")
            if one.increase_base_units != one.amount_base_units:
                raise CheckFailed(
                    Code.WRONG_INCREASE,
                    f"{name} gives {one.increase_base_units} base units, not {one.amount_base_units}",
                )
            if one.stopped:
                raise CheckFailed(Code.CHANNEL_STOPPED, f"{one.channel} waits for an operator's ruling")
        total = sum(one.increase_base_units or 0 for one in facts.allocations)
        if total != claim.amount_base_units or total == 0:
            raise CheckFailed(
                Code.WRONG_SUM, f"the allocations sum to {total} base units, the claim is {claim.amount_base_units}"
            )

    def _unchanged(self, claim: ClaimRow, facts: Facts, seed: str) -> None:
        booked = facts.booked
        if booked is None:
            return
        was = (booked.viewer_key, booked.wallet, booked.amount_base_units, booked.marker_seed, booked.allocations)
        now = (claim.viewer_key, claim.wallet, claim.amount_base_units, seed, len(facts.allocations))
        if was != now:
            raise CheckFailed(Code.CLAIM_CHANGED, "the claim is not the one that was signed for under this id before")


def within_cap(claim: ClaimRow, facts: Facts, switches: Switches, signed_today_base_units: int) -> int:
    """The day's sum with this claim, which counts once, on the day it is first signed. Raises CheckFailed."""
    if facts.booked is not None:
        return signed_today_base_units
    total = signed_today_base_units + claim.amount_base_units
    cap = switches.daily_cap_base_units
    if cap is not None and total > cap:
        raise CheckFailed(
            Code.OVER_CAP,
            f"{signed_today_base_units} base units are signed for on {switches.day}; with "
            f"{claim.amount_base_units} of this claim they are over the daily cap of {cap}",
        )
    return total
