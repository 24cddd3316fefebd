"""Methods about the cluster: slots, blockhashes, fees, health."""

from typing import Any

from solders.message import from_bytes_versioned

from infra.localnet.blockhashes import MAX_AGE
from infra.localnet.errors import NODE_UNHEALTHY, RpcError, invalid_params
from infra.localnet.methods.context import (
    API_VERSION,
    Context,
    Params,
    config_at,
    from_base64,
    list_at,
    text_at,
    whole_at,
    with_context,
)

UNHEALTHY_SLOTS = 128
"""How far behind a node may be and still be well. Source: agave, --health-check-slot-distance."""
LAMPORTS_PER_SIGNATURE = 5_000
MAX_ACCOUNT_BYTES = 10 * 1024 * 1024


def get_health(context: Context, params: Params) -> Any:
    """ok, or how far behind."""
    behind = context.faults.lag_slots
    if behind > UNHEALTHY_SLOTS:
        raise RpcError(NODE_UNHEALTHY, f"Node is behind by {behind} slots", {"numSlotsBehind": behind})
    return "ok"


def get_version(context: Context, params: Params) -> Any:
    """What this node says it is."""
    return {"solana-core": API_VERSION, "feature-set": 0}


def get_identity(context: Context, params: Params) -> Any:
    """The node's key; here the faucet's."""
    return {"identity": str(context.chain.bank.faucet.pubkey())}


def get_genesis_hash(context: Context, params: Params) -> Any:
    """Another for every journal."""
    return str(context.chain.blockhashes.of(0))


def get_slot(context: Context, params: Params) -> Any:
    """The slot of a commitment."""
    return context.view(config_at(params, 0))


def get_epoch_info(context: Context, params: Params) -> Any:
    """Epochs are of mainnet's length."""
    slot, length = context.view(config_at(params, 0)), context.chain.bank.epoch_slots
    return {
        "absoluteSlot": slot,
        "blockHeight": slot,
        "epoch": slot // length,
        "slotIndex": slot % length,
        "slotsInEpoch": length,
        "transactionCount": context.chain.ledger.landed_total,
    }


def get_transaction_count(context: Context, params: Params) -> Any:
    """All that ever landed."""
    context.view(config_at(params, 0))
    return context.chain.ledger.landed_total


def get_first_available_block(context: Context, params: Params) -> Any:
    """Slot of the oldest block."""
    return 0


def get_latest_blockhash(context: Context, params: Params) -> Any:
    """The blockhash of a commitment's slot, and how long it lives."""
    slot = context.view(config_at(params, 0))
    found = {
        "blockhash": str(context.chain.blockhashes.of(slot)),
        "lastValidBlockHeight": context.chain.last_valid_height(slot),
    }
    return with_context(slot, found)


def is_blockhash_valid(context: Context, params: Params) -> Any:
    """Whether a transaction with it may still land."""
    from solders.hash import Hash

    slot = context.view(config_at(params, 1))
    text = text_at(params, 0, "a blockhash")
    try:
        blockhash = Hash.from_string(text)
    except ValueError:
        raise invalid_params(f"Invalid param: {text!r} is no blockhash") from None
    return with_context(slot, context.chain.blockhashes.valid_at(blockhash, slot))


def get_fee_for_message(context: Context, params: Params) -> Any:
    """Lamports, or null where the blockhash is too old."""
    slot = context.view(config_at(params, 1))
    payload = from_base64(text_at(params, 0, "a message in base64"))
    try:
        message = from_bytes_versioned(payload)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize message: {error}") from None
    if not context.chain.blockhashes.valid_at(message.recent_blockhash, slot):
        return with_context(slot, None)
    return with_context(slot, LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures + _priority(message))


def _priority(message: Any) -> int:
    """The price of its compute units, lamports rounded up."""
    from solders.compute_budget import ID as COMPUTE_BUDGET

    limit, price, others = None, 0, 0
    for instruction in message.instructions:
        data = bytes(instruction.data)
        if message.account_keys[instruction.program_id_index] != COMPUTE_BUDGET:
            others += 1
        elif data[:1] == b"\x02":
            limit = int.from_bytes(data[1:5], "little")
        elif data[:1] == b"\x03":
            price = int.from_bytes(data[1:9], "little")
    units = min(1_400_000, 200_000 * others if limit is None else limit)
    return -(-units * price // 1_000_000)


def get_recent_prioritization_fees(context: Context, params: Params) -> Any:
    """Nobody pays for haste here: zeros, one for each of the last slots."""
    if params:
        list_at(params, 0, "addresses", 128)
    newest = context.slot_of("processed")
    return [{"slot": slot, "prioritizationFee": 0} for slot in range(max(0, newest - MAX_AGE + 1), newest + 1)]


def get_minimum_balance_for_rent_exemption(context: Context, params: Params) -> Any:
    """Lamports for an account of so many bytes."""
    size = whole_at(params, 0, "a number of bytes")
    if size > MAX_ACCOUNT_BYTES:
        raise invalid_params(f"Invalid param: {size} bytes; an account holds at most {MAX_ACCOUNT_BYTES}")
    return context.chain.bank.rent_lamports(size)


def get_block_time(context: Context, params: Params) -> Any:
    """Time of a slot that lies on the present anchor, s UTC; null for older ones."""
    slot, anchor = whole_at(params, 0, "a slot"), context.chain.clock.anchor
    if not anchor.slot <= slot <= context.tip:
        return None
    return (anchor.at_ms + (slot - anchor.slot) * anchor.slot_ms) // 1000


METHODS = {
    "getHealth": get_health,
    "getVersion": get_version,
    "getIdentity": get_identity,
    "getGenesisHash": get_genesis_hash,
    "getSlot": get_slot,
    "getBlockHeight": get_slot,
    "getBlockTime": get_block_time,
    "getEpochInfo": get_epoch_info,
    "getTransactionCount": get_transaction_count,
    "getFirstAvailableBlock": get_first_available_block,
    "minimumLedgerSlot": get_first_available_block,
    "getLatestBlockhash": get_latest_blockhash,
    "isBlockhashValid": is_blockhash_valid,
    "getFeeForMessage": get_fee_for_message,
    "getRecentPrioritizationFees": get_recent_prioritization_fees,
    "getMinimumBalanceForRentExemption": get_minimum_balance_for_rent_exemption,
}
