"""A claim as JSON. In: rows of the ledger. Out: what docs/claims.md calls Claim."""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from claim_api.ledger.rows import Claim

DECIMALS: Final = 9
CLUSTER_QUERIES: Final = {
    "mainnet": "",
    "devnet": "?cluster=devnet",
    "testnet": "?cluster=testnet",
    "localnet": "?cluster=custom&customUrl=",
}


def display(base_units: int) -> str:
    """Whole tokens, without trailing zeros: 8000000000 is "8"."""
    whole, part = divmod(base_units, 10**DECIMALS)
    return f"{whole}.{part:0{DECIMALS}d}".rstrip("0").rstrip(".") if part else str(whole)


def explorer_url(signature: str | None, cluster: str, node: str = "") -> str | None:
    """Where people look a transaction up. node: address of a localnet, which no explorer knows by itself."""
    if signature is None:
        return None
    custom = quote(node, safe="") if cluster == "localnet" else ""
    return f"https://explorer.solana.com/tx/{signature}{CLUSTER_QUERIES[cluster]}{custom}"


def claim_json(claim: Claim, cluster: str, node: str = "") -> dict[str, Any]:
    """One Claim. node: see explorer_url."""
    steps = (
        ("reserved", claim.reserved_at),
        ("signed", claim.signed_at),
        ("sent", claim.sent_at),
        ("confirmed", claim.confirmed_at),
    )
    return {
        "claim_id": claim.claim_id,
        "state": claim.state,
        "wallet": claim.wallet,
        "base_units": str(claim.amount_base_units),
        "display": display(claim.amount_base_units),
        "fee": claim.fee,
        "allocations": [
            {
                "channel": one.channel,
                "login": one.login,
                "epoch_start_s": one.epoch_start_s,
                "revision": one.revision,
                "base_units": str(one.amount_base_units),
            }
            for one in claim.allocations
        ],
        "steps": [{"step": step, "at": _iso(at)} for step, at in steps if at is not None],
        "signature": claim.signature,
        "explorer_url": explorer_url(claim.signature, cluster, node),
        "held_because": _for_viewers(claim.held_because),
    }


def _for_viewers(because: str | None) -> str | None:
    """The reason's code: its text is the operator's."""
    return None if because is None else because.partition(":")[0]


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
