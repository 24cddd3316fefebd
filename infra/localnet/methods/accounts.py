"""Methods that read accounts, each as of the commitment that is asked for."""

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from infra.localnet import shapes
from infra.localnet.bank import MINT_BYTES, TOKEN_PROGRAMS, token_balance
from infra.localnet.errors import invalid_params
from infra.localnet.methods.context import (
    Context,
    Params,
    address,
    address_at,
    config_at,
    list_at,
    with_context,
)
from infra.localnet.tokens import is_mint, ui_amount

MAX_ACCOUNTS = 100
MAX_TOKEN_ACCOUNTS = 10_000


def decimals_at(context: Context, slot: int) -> Callable[[Pubkey], int]:
    """Decimals of mints as of a slot."""

    def decimals(mint: Pubkey) -> int:
        account = context.chain.bank.account(mint, slot)
        return account.data[44] if account is not None and len(account.data) >= MINT_BYTES else 0

    return decimals


def get_account_info(context: Context, params: Params) -> Any:
    """One account."""
    config = config_at(params, 1)
    slot = context.view(config)
    found = context.chain.bank.account(address_at(params, 0), slot)
    return with_context(slot, shapes.account(found, config, decimals_at(context, slot)))


def get_multiple_accounts(context: Context, params: Params) -> Any:
    """Up to 100, null for those that are not there."""
    config = config_at(params, 1)
    slot, decimals = context.view(config), decimals_at(context, context.slot_of("processed"))
    addresses = [address(text) for text in list_at(params, 0, "addresses", MAX_ACCOUNTS)]
    found = [shapes.account(context.chain.bank.account(one, slot), config, decimals) for one in addresses]
    return with_context(slot, found)


def get_balance(context: Context, params: Params) -> Any:
    """Lamports."""
    slot = context.view(config_at(params, 1))
    found = context.chain.bank.account(address_at(params, 0), slot)
    return with_context(slot, 0 if found is None else found.lamports)


def get_token_account_balance(context: Context, params: Params) -> Any:
    """What a token account holds."""
    slot = context.view(config_at(params, 1))
    found = context.chain.bank.account(address_at(params, 0), slot)
    if found is None:
        raise invalid_params("Invalid param: could not find account")
    balance = token_balance(0, found)
    if balance is None:
        raise invalid_params("Invalid param: not a Token account")
    return with_context(slot, ui_amount(balance.amount, decimals_at(context, slot)(balance.mint)))


def get_token_supply(context: Context, params: Params) -> Any:
    """How much of a mint there is."""
    slot = context.view(config_at(params, 1))
    found = context.chain.bank.account(address_at(params, 0), slot)
    if found is None:
        raise invalid_params("Invalid param: could not find account")
    if not is_mint(found):
        raise invalid_params("Invalid param: not a Token mint")
    return with_context(slot, ui_amount(int.from_bytes(found.data[36:44], "little"), found.data[44]))


def get_token_accounts_by_owner(context: Context, params: Params) -> Any:
    """Token accounts of an owner, of one mint or of one token program."""
    config, chosen = config_at(params, 2), config_at(params, 1)
    slot, owner = context.view(config), address_at(params, 0)
    if "mint" in chosen:
        mint = address(chosen["mint"])
        if not is_mint(context.chain.bank.account(mint, slot)):
            raise invalid_params("Invalid param: could not find mint")
    elif address(chosen.get("programId")) not in TOKEN_PROGRAMS:
        raise invalid_params("Invalid param: unrecognized Token program id")

    def wanted(account: Account) -> bool:
        balance = token_balance(0, account)
        if balance is None or balance.owner != owner:
            return False
        if "mint" in chosen:
            return bool(str(balance.mint) == chosen["mint"])
        return bool(str(account.owner) == chosen["programId"])

    decimals, found = decimals_at(context, slot), []
    for one in context.chain.bank.token_accounts(owner)[:MAX_TOKEN_ACCOUNTS]:
        account = context.chain.bank.account(one, slot)
        if account is not None and wanted(account):
            found.append({"pubkey": str(one), "account": shapes.account(account, config, decimals)})
    return with_context(slot, found)


METHODS = {
    "getAccountInfo": get_account_info,
    "getMultipleAccounts": get_multiple_accounts,
    "getBalance": get_balance,
    "getTokenAccountBalance": get_token_account_balance,
    "getTokenSupply": get_token_supply,
    "getTokenAccountsByOwner": get_token_accounts_by_owner,
}
