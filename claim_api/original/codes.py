"""Our errors under the original's names, in a body that has both: {success: false, error, code, message, mend}.

Source: the original's HTTP API. What it had no name for keeps ours, in capitals.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, TypeVar

from claim_api.answer import Answer, json_answer
from claim_api.errors import ApiError
from claim_api.ledger.rows import Claim
from claim_api.original.funds import lacks_funds
from claim_api.request import Request

P = TypeVar("P")

NAMES: Final = {
    "sign_in_required": ("AUTH_REQUIRED", 401),
    "malformed": ("MISSING_FIELDS", 400),
    "not_json": ("MISSING_FIELDS", 400),
    "cut_short": ("MISSING_FIELDS", 400),
    "invalid_wallet": ("INVALID_WALLET", 400),
    "no_wallet": ("INVALID_WALLET", 400),
    "wallet_not_in_force": ("INVALID_WALLET", 400),
    "already_claimed": ("ALREADY_CLAIMED", 400),
    "nothing_to_claim": ("ALREADY_CLAIMED", 400),
    "no_allocation": ("NO_ALLOCATION", 400),
    "rate_limited": ("RATE_LIMIT", 429),
    "over_limit": ("RATE_LIMIT", 429),
    "mint_not_found": ("MINT_NOT_FOUND", 500),
    "insufficient_funds": ("INSUFFICIENT_FUNDS", 500),
    "rpc_error": ("RPC_ERROR", 500),
    "mint_failed": ("MINT_FAILED", 500),
}
"""The original's name and status of each of our codes."""


def original_error(error: ApiError) -> Answer:
    """The answer that the original would give."""
    name, status = NAMES.get(error.code, (error.code.upper(), error.status))
    body = {"success": False, "error": name, "code": name, "message": error.message, "mend": error.mend}
    made = json_answer(body, status=status)
    made.headers.extend(error.headers)
    return made


Handler = Callable[[P, Request], Awaitable[Answer]]


def in_original_words(handler: Handler[P]) -> Handler[P]:
    """The handler with its errors under the original's names."""

    @wraps(handler)
    async def answered(part: P, request: Request) -> Answer:
        try:
            return await handler(part, request)
        except ApiError as error:
            return original_error(error)

    return answered


def held(claim: Claim) -> ApiError:
    """What a held claim is to the original's clients."""
    mend = f"an operator looks at claim {claim.claim_id}; nothing is lost"
    if lacks_funds(claim.held_because or ""):
        return ApiError(500, "insufficient_funds", "treasury or fee payer had too little to pay the claim", mend)
    return ApiError(500, "mint_failed", "the claim is held", mend)


def not_confirmed(claim: Claim, wait_s: float, error: str | None) -> ApiError:
    """The chain did not say so in time. error: of the last attempt."""
    if lacks_funds(error or ""):
        return ApiError(
            500,
            "insufficient_funds",
            f"the server cannot pay the fee of claim {claim.claim_id} now",
            "ask again later: the claim goes on when an operator has sent lamports, and is never paid twice",
        )
    return ApiError(
        500,
        "rpc_error",
        f"claim {claim.claim_id} is not confirmed after {wait_s:.0f} s; it goes on",
        "ask again: the same request waits for the same claim and never pays twice",
    )
