"""Paths of the claim side: signing in, wallets, what was earned, claims, the original's questions, actions."""

from typing import Final

from claim_api.openapi.shapes import (
    CHANGING,
    INT,
    SESSION,
    TEXT,
    WALLET,
    Json,
    answers,
    json_of,
    needed,
    one_of,
    operation,
    parameter,
    ref,
)

_FORM: Final = (400, 401, 403, 408, 413, 415, 429, 503)
"""What every POST with a body may answer."""
_READ: Final = (400, 401, 429, 503)
_CLAIM_ID: Final = parameter("id", "path", "The claim", {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, 1)
_HOUR: Final = [
    needed("epoch", "Start of the hour, seconds since 1970, UTC", INT, 1760000400),
    needed("channel", "Login or identity", TEXT, "forsen"),
]


def _page(most: int) -> list[Json]:
    return [
        parameter("before", "query", "next_before of the page before", INT),
        parameter("limit", "query", "Rows", {"type": "integer", "minimum": 1, "maximum": most}),
    ]


_RETURN: Final = parameter("return", "query", "A path of this site to come back to", TEXT, "/claim")
_LOGIN: Final = operation("Sign in with Twitch", "Leads to Twitch.", [_RETURN], answers(None, 400, 429, 503, good=302))
_CALLBACK: Final = {
    "get": operation(
        "Twitch sends the browser back here",
        "Leads to the return path: with a session, or with ?sign_in=<code> where it failed.",
        [parameter("code", "query", "Of Twitch", TEXT), parameter("state", "query", "Of ours", TEXT)],
        answers(None, 429, 503, good=303),
    )
}

PATHS: Final[Json] = {
    "/auth/twitch/login": {
        "get": _LOGIN,
        "post": operation(
            "The same by a form", "Leads to Twitch.", [_RETURN], answers(None, 400, 403, 408, 413, 429, 503, good=303)
        ),
    },
    "/api/auth/twitch/login": {"get": _LOGIN},
    "/auth/twitch/callback": _CALLBACK,
    "/api/auth/twitch/callback": _CALLBACK,
    "/auth/sign-out": {
        "post": operation("Sign out", "The session is revoked.", [], answers(None, 401, 403, 503, good=204), CHANGING)
    },
    "/api/auth/me": {
        "get": operation("Who is signed in", "Nobody is no error.", [], answers(json_of("AuthMe"), 400, 503))
    },
    "/v1/me": {
        "get": operation("The signed-in viewer", "And the CSRF token.", [], answers(json_of("Me"), *_READ), SESSION)
    },
    "/v1/me/proof": {
        "get": operation(
            "The viewer's own proof",
            "Presence, or absence where they took no part, opened with the epoch's key. Private.",
            [*_HOUR, parameter("revision", "query", "This revision; without it the newest", INT)],
            answers(
                {"application/json": {"schema": {"oneOf": [ref(name) for name in ("Presence", "Absence")]}}},
                *(400, 401, 404, 409, 429, 501, 503),
            ),
            SESSION,
        )
    },
    "/v1/wallet/challenge": {
        "post": operation(
            "What a wallet must sign",
            "Good for ten minutes.",
            [],
            answers(json_of("Challenge"), *_FORM),
            CHANGING,
            "ChallengeForm",
        )
    },
    "/v1/wallet": {
        "post": operation(
            "Bind a wallet",
            "At once where there was none, else after the waiting time.",
            [],
            answers(json_of("Bound"), *_FORM),
            CHANGING,
            "BindForm",
        )
    },
    "/v1/wallets": {
        "get": operation(
            "Bindings, newest first", "The last hundred.", [], answers(json_of("Wallets"), *_READ), SESSION
        )
    },
    "/v1/wallets/{wallet}/claimable": {
        "get": operation(
            "What a wallet can claim",
            "Sums of whoever is bound to it, never who that is.",
            [parameter("wallet", "path", "Solana address", WALLET, "11111111111111111111111111111111")],
            answers(json_of("WalletClaimable"), 400, 429, 503),
        )
    },
    "/v1/stats": {
        "get": operation("Everybody's sums", "Up to 30 s old.", [], answers(json_of("Stats"), 400, 429, 503))
    },
    "/v1/eligibility": {
        "get": operation(
            "What the viewer has earned",
            "Newest first. Totals are of all, not of the page.",
            _page(1000),
            answers(json_of("Eligibility"), *_READ),
            SESSION,
        )
    },
    "/v1/eligibility/weeks": {
        "get": operation("The last 26 weeks", "Oldest first.", [], answers(json_of("Weeks"), *_READ), SESSION)
    },
    "/v1/claims": {
        "get": operation(
            "Claims, newest first", "Of the viewer.", _page(100), answers(json_of("Claims"), *_READ), SESSION
        ),
        "post": operation(
            "Claim",
            "Reserves the allocations; what pays them follows. Codes: no_wallet, wallet_not_in_force, "
            "nothing_to_claim, already_claimed, no_allocation, below_minimum, too_large, over_limit (until midnight "
            "UTC, as Retry-After says), fee_not_offered, frozen.",
            [],
            answers(json_of("Claim"), *_FORM, 404, 409, good=201),
            CHANGING,
            "ClaimForm",
        ),
    },
    "/v1/claims/{id}": {
        "get": operation(
            "One claim",
            "With seen it waits up to wait_ms until the state is another one.",
            [
                _CLAIM_ID,
                parameter(
                    "seen", "query", "The state that is known", one_of("reserved", "signed", "confirmed", "held")
                ),
                parameter("wait_ms", "query", "Longest wait", {**INT, "maximum": 10_000}),
            ],
            answers(json_of("Claim"), *_READ, 404),
            SESSION,
        )
    },
    "/v1/claims/{id}/transaction": {
        "get": operation(
            "What the wallet signs",
            "Where the viewer pays.",
            [_CLAIM_ID],
            answers(json_of("Transaction"), *_READ, 404, 409),
            SESSION,
        ),
        "post": operation(
            "The wallet has signed",
            "Compared, co-signed, stored, sent.",
            [_CLAIM_ID],
            answers(json_of("Claim"), *_FORM, 404, 409),
            CHANGING,
            "Transaction",
        ),
    },
    "/v1/opt-out": {
        "post": operation(
            "Opt out",
            "No event of this viewer reaches the log any more; all sessions end.",
            [],
            answers(json_of("OptedOut"), 401, 403, 429, 503, good=202),
            CHANGING,
        )
    },
    "/api/eligibility": {
        "get": operation(
            "One hour (original)",
            "All revisions of the hour together.",
            _HOUR,
            answers(json_of("OriginalEligibility"), *_READ, error="OriginalError"),
            SESSION,
        )
    },
    "/api/claim": {
        "post": operation(
            "Claim one hour and wait (original)",
            "Up to 30 s; a second request for the same joins the first. Codes: AUTH_REQUIRED 401; MISSING_FIELDS, "
            "INVALID_WALLET, ALREADY_CLAIMED, NO_ALLOCATION 400; RATE_LIMIT 429; MINT_NOT_FOUND, INSUFFICIENT_FUNDS, "
            "RPC_ERROR, MINT_FAILED 500.",
            [],
            answers(json_of("OriginalReceipt"), *_FORM, 409, 500, error="OriginalError"),
            SESSION,
            "OriginalClaimForm",
        )
    },
    "/api/debug/claim": {
        "get": operation(
            "What stands in the way (original)",
            "Only with TWZRD_ENABLE_DEBUG=on, else 404.",
            _HOUR,
            answers(json_of("OriginalDebug"), *_READ, 404, error="OriginalError"),
            SESSION,
        )
    },
    "/actions.json": {
        "get": operation("Which pages are actions", "Solana Actions.", [], answers(json_of("ActionRules"))),
        "options": operation("May other sites ask", "CORS.", [], answers(None)),
    },
    "/v1/actions/claim": {
        "get": operation("What the action offers", "Solana Actions 2.4.", [], answers(json_of("ActionOffer"))),
        "post": operation(
            "A transaction for the wallet",
            "Lacks only the account's signature. Codes: invalid_wallet, no_wallet, nothing_to_claim, frozen.",
            [],
            answers(json_of("ActionAnswer"), 400, 404, 408, 409, 413, 415, 429, 503),
            None,
            "ActionForm",
        ),
        "options": operation("May other sites ask", "CORS.", [], answers(None)),
    },
    "/v1/actions/icon.svg": {
        "get": operation("The action's picture", "SVG.", [], answers({"image/svg+xml": {"schema": TEXT}}))
    },
    "/rpc": {
        "post": operation(
            "JSON-RPC of Solana",
            "Allow-listed methods through the pool; errors in JSON-RPC's own form.",
            [],
            answers(json_of("JsonRpc"), 400, 408, 413, 415, 429, 503, error="JsonRpc"),
            None,
            "JsonRpc",
        )
    },
}
