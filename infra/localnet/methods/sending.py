"""Methods that send: sendTransaction, simulateTransaction, requestAirdrop."""

from typing import Any, Final

from solders.message import Message, MessageV0
from solders.transaction import SanitizeError, VersionedTransaction

from infra.localnet import base58, shapes
from infra.localnet.bank import Outcome
from infra.localnet.errors import (
    INTERNAL_ERROR,
    PREFLIGHT_FAILURE,
    SIGNATURE_FAILURE,
    UNSUPPORTED_VERSION,
    RpcError,
    in_words,
    invalid_params,
)
from infra.localnet.faults import Fault
from infra.localnet.methods.accounts import decimals_at
from infra.localnet.methods.context import (
    Context,
    Params,
    address,
    address_at,
    config_at,
    from_base64,
    list_at,
    text_at,
    whole_at,
    with_context,
)

MAX_TRANSACTION_BYTES: Final = 1232
MAX_AIRDROP_LAMPORTS: Final = 1_000_000 * 10**9


async def send_transaction(context: Context, params: Params, fault: Fault | None = None) -> Any:
    """Check it as a node does before it forwards, and land it; the signature. With skipPreflight it is not checked."""
    config = config_at(params, 1)
    transaction = decode(text_at(params, 0, "a transaction"), config.get("encoding", "base58"))
    slot = context.view(
        {"commitment": config.get("preflightCommitment"), "minContextSlot": config.get("minContextSlot")}
    )
    chain = context.chain
    verified = not config.get("skipPreflight", False)
    if verified:
        try:
            _preflight(context, transaction, slot)
        except RpcError:
            chain.counters.transactions_refused_total += 1
            raise
    kind = None if fault is None else fault.kind
    if kind == "drop":
        chain.counters.transactions_dropped_total += 1
    elif kind == "late" and fault is not None:
        chain.land_later(transaction, fault.slots)
    else:
        chain.land(transaction, verified=verified)
    await chain.journal.synced()
    if kind == "deny" and fault is not None:
        raise RpcError(INTERNAL_ERROR, fault.message)
    return str(transaction.signatures[0])


def _preflight(context: Context, transaction: VersionedTransaction, slot: int) -> None:
    if not all(transaction.verify_with_results()):
        raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
    if context.chain.journal.full:
        raise RpcError(INTERNAL_ERROR, "the localnet's journal is full; start it with another --dir")
    outcome, _ = context.chain.simulate(transaction, slot)
    if outcome.err is not None:
        words = f"Transaction simulation failed: {in_words(outcome.err)}"
        raise RpcError(PREFLIGHT_FAILURE, words, _simulated(outcome))


def _simulated(outcome: Outcome) -> dict[str, Any]:
    ran = outcome.meta
    return {
        "err": outcome.err,
        "logs": [] if ran is None else ran.logs(),
        "accounts": None,
        "unitsConsumed": 0 if ran is None else ran.compute_units_consumed(),
        "returnData": shapes.return_data(outcome),
        "innerInstructions": None,
        "replacementBlockhash": None,
    }


async def simulate_transaction(context: Context, params: Params, fault: Fault | None = None) -> Any:
    """Run a transaction and change nothing."""
    config = config_at(params, 1)
    transaction = decode(text_at(params, 0, "a transaction"), config.get("encoding", "base58"))
    slot, replace = context.view(config), bool(config.get("replaceRecentBlockhash", False))
    if config.get("sigVerify", False):
        if replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        if not all(transaction.verify_with_results()):
            raise RpcError(SIGNATURE_FAILURE, "Transaction signature verification failure")
    if replace:
        outcome, after = context.chain.bank.simulate(transaction, context.chain.slot, context.chain.at_s)
    else:
        outcome, after = context.chain.simulate(transaction, slot)
    found = _simulated(outcome)
    if (wanted := config.get("accounts")) is not None:
        accounts_config = {"encoding": wanted.get("encoding", "base64")}
        addresses = [address(one) for one in list_at([wanted.get("addresses")], 0, "addresses", 64)]
        decimals = decimals_at(context, slot)
        found["accounts"] = [
            shapes.account(after.get(one) or context.chain.bank.account(one, slot), accounts_config, decimals)
            for one in addresses
        ]
    if config.get("innerInstructions", False):
        found["innerInstructions"] = shapes.inner_instructions(outcome)
    if replace:
        found["replacementBlockhash"] = {
            "blockhash": str(context.chain.blockhashes.of(slot)),
            "lastValidBlockHeight": context.chain.last_valid_height(slot),
        }
    return with_context(slot, found)


async def request_airdrop(context: Context, params: Params, fault: Fault | None = None) -> Any:
    """Lamports from the faucet; the signature of its transfer."""
    to, lamports = address_at(params, 0), whole_at(params, 1, "a number of lamports")
    if not 0 < lamports <= MAX_AIRDROP_LAMPORTS:
        raise invalid_params(f"Invalid param: {lamports} lamports; the faucet gives 1 to {MAX_AIRDROP_LAMPORTS}")
    transaction = context.chain.airdrop(to, lamports)
    outcome, _ = context.chain.simulate(transaction, context.chain.slot)
    if outcome.err is not None:
        raise RpcError(INTERNAL_ERROR, f"airdrop request failed: {in_words(outcome.err)}")
    context.chain.land(transaction, verified=True)
    await context.chain.journal.synced()
    return str(transaction.signatures[0])


def decode(text: str, encoding: str) -> VersionedTransaction:
    """A transaction that this node can run. Raises RpcError."""
    if encoding == "base64":
        raw = from_base64(text)
    elif encoding == "base58":
        # A digit of base58 carries 5.9 bits; longer texts are not worth decoding.
        if len(text) > MAX_TRANSACTION_BYTES * 1.4:
            raise invalid_params(f"base58 encoded transaction too large: {len(text)} characters")
        try:
            raw = base58.decode(text)
        except ValueError as error:
            raise invalid_params(f"invalid base58 encoding: {error}") from None
    else:
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise invalid_params(f"decoded transaction too large: {len(raw)} bytes (max: {MAX_TRANSACTION_BYTES} bytes)")
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
    except (ValueError, SanitizeError) as error:
        raise invalid_params(f"failed to deserialize VersionedTransaction: {error}") from None
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise RpcError(UNSUPPORTED_VERSION, "Transaction version is not supported by the localnet; legacy or 0")
    if isinstance(message, MessageV0) and message.address_table_lookups:
        raise RpcError(UNSUPPORTED_VERSION, "Address lookup tables are not supported by the localnet")
    return transaction


METHODS = {
    "sendTransaction": send_transaction,
    "simulateTransaction": simulate_transaction,
    "requestAirdrop": request_airdrop,
}
