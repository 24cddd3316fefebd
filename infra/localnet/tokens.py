"""Token accounts and mints as a node parses them (encoding jsonParsed), and amounts with their decimals."""

from collections.abc import Callable
from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from infra.localnet.bank import MINT_BYTES, TOKEN_ACCOUNT_BYTES, TOKEN_PROGRAMS, token_balance

Decimals = Callable[[Pubkey], int]
"""Decimals of a mint; 0 for what is none."""
STATES: Final = ("uninitialized", "initialized", "frozen")


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """UiTokenAmount."""
    whole, part = divmod(amount, 10**decimals)
    text = f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".") if decimals else str(whole)
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(text), "uiAmountString": text}


def is_mint(account: Account | None) -> bool:
    """Whether it is an initialised mint of a token program."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return False
    data = account.data
    extended = len(data) > TOKEN_ACCOUNT_BYTES and data[TOKEN_ACCOUNT_BYTES] == 1
    return (len(data) == MINT_BYTES or extended) and data[45] == 1


def parsed_account(account: Account, decimals: Decimals) -> dict[str, Any] | None:
    """A token account or a mint, parsed; None for anything else."""
    if is_mint(account):
        kind, info = "mint", _mint(bytes(account.data))
    elif (balance := token_balance(0, account)) is not None:
        kind, info = "account", _token_account(bytes(account.data), decimals(balance.mint))
    else:
        return None
    program = "spl-token-2022" if account.owner == TOKEN_2022_PROGRAM_ID else "spl-token"
    return {"program": program, "parsed": {"type": kind, "info": info}, "space": len(account.data)}


def _mint(data: bytes) -> dict[str, Any]:
    return {
        "mintAuthority": _optional(data[0:36]),
        "supply": str(int.from_bytes(data[36:44], "little")),
        "decimals": data[44],
        "isInitialized": data[45] == 1,
        "freezeAuthority": _optional(data[46:82]),
    }


def _token_account(data: bytes, decimals: int) -> dict[str, Any]:
    native = data[109] == 1
    info: dict[str, Any] = {
        "mint": str(Pubkey.from_bytes(data[:32])),
        "owner": str(Pubkey.from_bytes(data[32:64])),
        "tokenAmount": ui_amount(int.from_bytes(data[64:72], "little"), decimals),
        "state": STATES[data[108]] if data[108] < len(STATES) else STATES[0],
        "isNative": native,
    }
    if (delegate := _optional(data[72:108])) is not None:
        info["delegate"] = delegate
        info["delegatedAmount"] = ui_amount(int.from_bytes(data[121:129], "little"), decimals)
    if (closer := _optional(data[129:165])) is not None:
        info["closeAuthority"] = closer
    return info


def _optional(piece: bytes) -> str | None:
    return str(Pubkey.from_bytes(piece[4:])) if piece[:4] == b"\1\0\0\0" else None
