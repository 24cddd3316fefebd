"""Schemas of the claim side: docs/claims.md, HTTP."""

from typing import Final

from claim_api.openapi.shapes import (
    BASE64,
    BOOL,
    DIGITS,
    INT,
    TEXT,
    TIME,
    WALLET,
    Json,
    fields,
    listed,
    nullable,
    one_of,
    ref,
)

_AMOUNT: Final = {"base_units": {**DIGITS, "description": "10^9 are one CHAT"}, "display": TEXT}
_FOUR: Final = {name: ref("Amount") for name in ("entitled", "claimed", "pending", "claimable")}
_STATE: Final = one_of("reserved", "signed", "confirmed", "held")

SCHEMAS: Final[Json] = {
    "Amount": fields(**_AMOUNT),
    "Totals": fields(**_FOUR),
    "Binding": fields(wallet=WALLET, bound_at=TIME, effective_at=TIME),
    "AuthMe": fields(authenticated=BOOL, user=nullable(fields(id=DIGITS, login=TEXT, display_name=TEXT))),
    "Me": fields(
        viewer=TEXT,
        login=TEXT,
        display_name=TEXT,
        csrf={**TEXT, "description": "For the header x-csrf-token of every POST"},
        session_expires_at=TIME,
        wallet=nullable(ref("Binding")),
        next_wallet=nullable(ref("Binding")),
        cluster=TEXT,
        mint=nullable(TEXT),
        fee=one_of("server", "viewer"),
        frozen=BOOL,
    ),
    "ChallengeForm": fields(wallet=WALLET),
    "Challenge": fields(
        input={"type": "object", "description": "SolanaSignInInput of the Wallet Standard"},
        message=TEXT,
        nonce=TEXT,
        expires_at=TIME,
    ),
    "BindForm": fields(nonce=TEXT, signed_message=BASE64, signature=BASE64, form=one_of("siws", "off-chain")),
    "Bound": fields(wallet=WALLET, effective_at=TIME),
    "Wallets": fields(
        wallets=listed(fields(wallet=WALLET, bound_at=TIME, effective_at=TIME, form=one_of("siws", "off-chain")))
    ),
    "Allocation": fields(
        seal_id=INT,
        channel=TEXT,
        login=TEXT,
        epoch_start_s=INT,
        revision=INT,
        leaf_index=INT,
        weight_centi=DIGITS,
        **_AMOUNT,
        state=one_of("claimable", "pending", "claimed"),
        stopped={**BOOL, "description": "The channel waits for an operator's ruling: not claimable until then"},
        claim_id=nullable(INT),
        observed_ms=INT,
        absent_ms=INT,
        epoch_length_s=INT,
        proof={**TEXT, "description": "Path of the viewer's own bundle"},
        evidence={**TEXT, "description": "Path of the seal"},
    ),
    "Eligibility": fields(
        viewer=TEXT, totals=ref("Totals"), allocations=listed(ref("Allocation")), next_before=nullable(INT)
    ),
    "Weeks": fields(
        weeks={
            **listed(fields(week_start_s=INT, **_AMOUNT, hours=INT, observed_ms=INT)),
            "minItems": 26,
            "maxItems": 26,
        }
    ),
    "AllocationKey": {
        **fields(
            channel={**TEXT, "maxLength": 64},
            epoch_start_s={**INT, "maximum": 2**62},
            revision={**INT, "maximum": 65_535},
        ),
        "additionalProperties": False,
    },
    "ClaimForm": {
        "type": "object",
        "required": ["allocations"],
        "properties": {
            "allocations": {
                "anyOf": [
                    {"const": "all"},
                    {**listed(ref("AllocationKey")), "minItems": 1, "maxItems": 1000},
                ]
            },
            "fee": nullable(one_of("server", "viewer")),
        },
        "additionalProperties": False,
    },
    "Claim": fields(
        claim_id=INT,
        state=_STATE,
        wallet=WALLET,
        **_AMOUNT,
        fee=one_of("server", "viewer", "action"),
        allocations=listed(fields(channel=TEXT, login=TEXT, epoch_start_s=INT, revision=INT, base_units=DIGITS)),
        steps=listed(fields(step=one_of("reserved", "signed", "sent", "confirmed"), at=TIME)),
        signature=nullable(TEXT),
        explorer_url=nullable(TEXT),
        held_because=nullable(TEXT),
    ),
    "Claims": fields(claims=listed(ref("Claim")), next_before=nullable(INT)),
    "Transaction": {**fields(transaction=BASE64), "additionalProperties": False},
    "OptedOut": fields(viewer=TEXT, opted_out=BOOL),
    "WalletClaimable": fields(wallet=WALLET, totals=ref("Totals")),
    "Stats": fields(
        channels=INT,
        epochs=INT,
        participations=INT,
        weight_centi=DIGITS,
        newest_epoch_start_s=nullable(INT),
        claims=fields(confirmed=INT, claimed=ref("Amount"), pending=ref("Amount")),
    ),
    "OriginalError": fields(
        success={"const": False},
        error={**TEXT, "description": "The original's name of it"},
        code=TEXT,
        message=TEXT,
        mend=TEXT,
    ),
    "OriginalEligibility": fields(
        eligible=BOOL,
        username=TEXT,
        channel=TEXT,
        epoch=INT,
        amount={**DIGITS, "description": "Base units"},
        claimed=BOOL,
        reason=nullable(one_of("NO_ALLOCATION", "ALREADY_CLAIMED", "CHANNEL_STOPPED")),
    ),
    "OriginalClaimForm": fields(wallet=WALLET, epoch=INT, channel=TEXT),
    "OriginalReceipt": fields(
        success={"const": True},
        receipt=fields(
            username=TEXT, channel=TEXT, epoch=INT, amount=DIGITS, wallet=WALLET, signature=TEXT, claimed_at=TIME
        ),
    ),
    "OriginalDebug": fields(
        viewer=TEXT,
        channel=TEXT,
        epoch=INT,
        mint=nullable(TEXT),
        fee=TEXT,
        allocations=listed(fields(revision=INT, claim_id=nullable(INT), state=nullable(_STATE))),
    ),
    "ActionRules": fields(rules=listed(fields(pathPattern=TEXT, apiPath=TEXT))),
    "ActionOffer": fields(
        type={"const": "action"},
        icon=TEXT,
        title=TEXT,
        description=TEXT,
        label=TEXT,
        links=fields(actions=listed(fields(type=one_of("transaction", "external-link"), href=TEXT, label=TEXT))),
    ),
    "ActionForm": fields(account=WALLET),
    "ActionAnswer": {
        "oneOf": [
            fields(type={"const": "transaction"}, transaction=BASE64, message=TEXT),
            fields(type={"const": "external-link"}, externalLink=TEXT),
        ]
    },
    "JsonRpc": {"anyOf": [{"type": "object"}, {"type": "array"}]},
}
