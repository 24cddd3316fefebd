"""Methods about what landed: statuses, transactions, signatures of an address."""

from typing import Any, Final

from solders.message import MessageV0

from infra.localnet import base58, shapes
from infra.localnet.blockhashes import MAX_AGE
from infra.localnet.errors import UNSUPPORTED_VERSION, RpcError, invalid_params
from infra.localnet.ledger import Entry
from infra.localnet.methods.accounts import decimals_at
from infra.localnet.methods.context import (
    Context,
    Params,
    address_at,
    config_at,
    list_at,
    signature,
    text_at,
    with_context,
)

MAX_STATUSES: Final = 256
MAX_SIGNATURES: Final = 1000
MEMO_PROGRAMS: Final = frozenset(
    ("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr", "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
)


def get_signature_statuses(context: Context, params: Params) -> Any:
    """Fates of up to 256 signatures; without searchTransactionHistory of the last 150 slots only, as a node's cache."""
    config = config_at(params, 1)
    signatures = [signature(one) for one in list_at(params, 0, "signatures", MAX_STATUSES)]
    tip, search = context.tip, config.get("searchTransactionHistory", False)
    found = []
    for one in signatures:
        entry = context.chain.ledger.get(one, tip)
        known = entry is not None and (search or entry.slot > tip - MAX_AGE)
        found.append(_status(context, entry, tip) if known and entry is not None else None)
    return with_context(tip, found)


def _status(context: Context, entry: Entry, tip: int) -> dict[str, Any]:
    reached = context.commitment_status(entry.slot)
    return {
        "slot": entry.slot,
        "confirmations": None if reached == "finalized" else tip - entry.slot,
        "err": entry.outcome.err,
        "status": shapes.status(entry.outcome.err),
        "confirmationStatus": reached,
    }


def get_transaction(context: Context, params: Params) -> Any:
    """A landed transaction, or null."""
    named = params[1] if len(params) > 1 else None
    config = {"encoding": named} if isinstance(named, str) else config_at(params, 1)
    slot = context.view(config, least="confirmed")
    entry = context.chain.ledger.get(signature(text_at(params, 0, "a signature")), slot)
    if entry is None:
        return None
    shown = shapes.transaction(entry, config.get("encoding") or "json", decimals_at(context, slot))
    newest = config.get("maxSupportedTransactionVersion")
    if isinstance(entry.transaction.message, MessageV0):
        if newest is None:
            raise RpcError(
                UNSUPPORTED_VERSION,
                "Transaction version (0) is not supported by the requesting client. Please try the request again with "
                'the following configuration parameter: "maxSupportedTransactionVersion": 0',
            )
        shown["version"] = 0
    elif newest is not None:
        shown["version"] = "legacy"
    return shown


def get_signatures_for_address(context: Context, params: Params) -> Any:
    """Signatures that name an address, newest first."""
    config = config_at(params, 1)
    slot, limit = context.view(config, least="confirmed"), config.get("limit") or MAX_SIGNATURES
    if type(limit) is not int or not 1 <= limit <= MAX_SIGNATURES:
        raise invalid_params(f"Invalid limit; max {MAX_SIGNATURES}")
    ledger = context.chain.ledger
    bounds = {}
    for side in ("before", "until"):
        if config.get(side) is not None:
            bound = ledger.get(signature(config[side]), slot)
            bounds[side] = bound.order if bound is not None else None
    if "before" in bounds and bounds["before"] is None:
        return []
    before, until = bounds.get("before"), bounds.get("until")
    found: list[dict[str, Any]] = []
    for entry in ledger.of_address(address_at(params, 0), slot):
        if before is not None and entry.order >= before:
            continue
        if (until is not None and entry.order <= until) or len(found) == limit:
            break
        found.append(
            {
                "signature": entry.signature,
                "slot": entry.slot,
                "err": entry.outcome.err,
                "memo": _memo(entry),
                "blockTime": entry.at_s,
                "confirmationStatus": context.commitment_status(entry.slot),
            }
        )
    return found


def _memo(entry: Entry) -> str | None:
    message = entry.transaction.message
    memos = [
        bytes(one.data)
        for one in message.instructions
        if str(message.account_keys[one.program_id_index]) in MEMO_PROGRAMS
    ]
    shown = [f"[{len(memo)}] {_text(memo)}" for memo in memos]
    return "; ".join(shown) if shown else None


def _text(memo: bytes) -> str:
    try:
        return memo.decode()
    except UnicodeDecodeError:
        return base58.encode(memo)


METHODS = {
    "getSignatureStatuses": get_signature_statuses,
    "getTransaction": get_transaction,
    "getSignaturesForAddress": get_signatures_for_address,
}
