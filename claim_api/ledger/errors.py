"""Why a claim is not reserved, as a word for programs and a sentence for people."""

from enum import StrEnum
from typing import Final

from schemas.errors import TwzrdError


class Refusal(StrEnum):
    """What stands against a reservation."""

    NOTHING_TO_CLAIM = "nothing_to_claim"
    ALREADY_CLAIMED = "already_claimed"
    NO_ALLOCATION = "no_allocation"
    NO_WALLET = "no_wallet"
    WALLET_NOT_IN_FORCE = "wallet_not_in_force"
    BELOW_MINIMUM = "below_minimum"
    TOO_LARGE = "too_large"
    OVER_LIMIT = "over_limit"
    FROZEN = "frozen"


class ClaimRefused(TwzrdError):
    """Nothing was reserved. code, message and mend are fit for the viewer. retry_after_s: whole seconds until it may be
    otherwise, where a clock says so."""

    def __init__(self, code: Refusal, message: str, mend: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"{message}; {mend}")
        self.code: Final = code
        self.message: Final = message
        self.mend: Final = mend
        self.retry_after_s: Final = retry_after_s


class LedgerError(TwzrdError):
    """The ledger does not hold what is asked of it, or holds what cannot be."""
