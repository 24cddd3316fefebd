"""How accounts and transactions look in JSON: Solana's UiAccount, UiTransaction and UiTransactionStatusMeta."""

import base64
from typing import Any, Final

import zstandard
from solders.account import Account
from solders.message import MessageV0
from solders.pubkey import Pubkey

from infra.localnet import base58
from infra.localnet.bank import Outcome, TokenBalance, writable_indexes
from infra.localnet.errors import INVALID_REQUEST, RpcError, invalid_params
from infra.localnet.ledger import Entry
from infra.localnet.tokens import Decimals, parsed_account, ui_amount

RENT_EPOCH: Final = 2**64 - 1
"""Of accounts that pay no rent: all."""
MAX_BASE58_BYTES: Final = 128


def account(found: Account | None, config: dict[str, Any], decimals: Decimals) -> dict[str, Any] | None:
    """An account in the encoding that config names; base58 in its old form where it names none. Raises RpcError."""
    if found is None:
        return None
    data = bytes(found.data)
    return {
        "lamports": found.lamports,
        "owner": str(found.owner),
        "executable": found.executable,
        "rentEpoch": RENT_EPOCH,
        "space": len(data),
        "data": _account_data(found, data, config, decimals),
    }


def _account_data(found: Account, data: bytes, config: dict[str, Any], decimals: Decimals) -> Any:
    encoding = config.get("encoding")
    if encoding == "jsonParsed":
        if (parsed := parsed_account(found, decimals)) is not None:
            return parsed
        encoding = "base64"
    piece = config.get("dataSlice")
    if piece is not None:
        try:
            data = data[piece["offset"] : piece["offset"] + piece["length"]]
        except (TypeError, KeyError):
            raise invalid_params("Invalid params: dataSlice must be {offset, length}") from None
    if encoding == "base64":
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "base64+zstd":
        return [base64.b64encode(zstandard.compress(data)).decode(), "base64+zstd"]
    if encoding not in (None, "base58", "binary"):
        raise invalid_params(f"Invalid params: unknown variant `{encoding}`")
    if len(data) > MAX_BASE58_BYTES:
        raise RpcError(
            INVALID_REQUEST,
            "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
        )
    return [base58.encode(data), "base58"] if encoding == "base58" else base58.encode(data)


def transaction(entry: Entry, encoding: str, decimals: Decimals) -> dict[str, Any]:
    """A landed transaction with its meta. Raises RpcError for an unknown encoding."""
    parsed = entry.transaction
    raw = bytes(parsed)
    encoded: Any
    if encoding == "base64":
        encoded = [base64.b64encode(raw).decode(), "base64"]
    elif encoding == "base58":
        encoded = [base58.encode(raw), "base58"]
    elif encoding in ("json", "jsonParsed"):
        message = _parsed_message(parsed.message) if encoding == "jsonParsed" else _message(parsed.message)
        encoded = {"signatures": [str(one) for one in parsed.signatures], "message": message}
    else:
        raise invalid_params(f"Invalid params: unknown variant `{encoding}`")
    return {
        "slot": entry.slot,
        "blockTime": entry.at_s,
        "transaction": encoded,
        "meta": meta(entry.outcome, decimals, parsed.message.account_keys if encoding == "jsonParsed" else None),
    }


def status(err: Any) -> dict[str, Any]:
    """The old form of a result."""
    return {"Ok": None} if err is None else {"Err": err}


def meta(outcome: Outcome, decimals: Decimals, keys: list[Pubkey] | None = None) -> dict[str, Any]:
    """What a transaction came to. keys: given where instructions are to be shown with addresses instead of indexes."""
    ran = outcome.meta
    assert ran is not None  # what landed was run
    shown: dict[str, Any] = {
        "err": outcome.err,
        "status": status(outcome.err),
        "fee": ran.fee(),
        "preBalances": list(outcome.pre),
        "postBalances": list(outcome.post),
        "preTokenBalances": [_token(one, decimals) for one in outcome.pre_tokens],
        "postTokenBalances": [_token(one, decimals) for one in outcome.post_tokens],
        "innerInstructions": inner_instructions(outcome, keys),
        "logMessages": ran.logs(),
        "rewards": [],
        "loadedAddresses": {"writable": [], "readonly": []},
        "computeUnitsConsumed": ran.compute_units_consumed(),
    }
    if (returned := return_data(outcome)) is not None:
        shown["returnData"] = returned
    return shown


def return_data(outcome: Outcome) -> dict[str, Any] | None:
    """What a program returned, if any did."""
    if outcome.meta is None:
        return None
    returned = outcome.meta.return_data()
    if not returned.data:
        return None
    data = base64.b64encode(bytes(returned.data)).decode()
    return {"programId": str(returned.program_id), "data": [data, "base64"]}


def inner_instructions(outcome: Outcome, keys: list[Pubkey] | None = None) -> list[dict[str, Any]]:
    """Instructions that programs ran, by the one that ran them."""
    if outcome.meta is None:
        return []
    shown = []
    for index, inner in enumerate(outcome.meta.inner_instructions()):
        if inner:
            one = [_instruction(each.instruction(), each.stack_height(), keys) for each in inner]
            shown.append({"index": index, "instructions": one})
    return shown


def _token(balance: TokenBalance, decimals: Decimals) -> dict[str, Any]:
    return {
        "accountIndex": balance.index,
        "mint": str(balance.mint),
        "owner": str(balance.owner),
        "programId": str(balance.program),
        "uiTokenAmount": ui_amount(balance.amount, decimals(balance.mint)),
    }


def _instruction(compiled: Any, stack_height: int | None, keys: list[Pubkey] | None) -> dict[str, Any]:
    data = base58.encode(bytes(compiled.data))
    if keys is None:
        accounts = list(compiled.accounts)
        return {
            "programIdIndex": compiled.program_id_index,
            "accounts": accounts,
            "data": data,
            "stackHeight": stack_height,
        }
    return {
        "programId": str(keys[compiled.program_id_index]),
        "accounts": [str(keys[index]) for index in compiled.accounts],
        "data": data,
        "stackHeight": stack_height,
    }


def _message(message: Any) -> dict[str, Any]:
    header = message.header
    shown: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_instruction(one, 1, None) for one in message.instructions],
    }
    if isinstance(message, MessageV0):
        shown["addressTableLookups"] = []
    return shown


def _parsed_message(message: Any) -> dict[str, Any]:
    """Accounts with their rights; instructions in the form of a program that the node cannot parse."""
    keys, writable = message.account_keys, set(writable_indexes(message))
    signers = message.header.num_required_signatures
    shown: dict[str, Any] = {
        "accountKeys": [
            {"pubkey": str(key), "signer": index < signers, "writable": index in writable, "source": "transaction"}
            for index, key in enumerate(keys)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_instruction(one, 1, keys) for one in message.instructions],
    }
    if isinstance(message, MessageV0):
        shown["addressTableLookups"] = []
    return shown
