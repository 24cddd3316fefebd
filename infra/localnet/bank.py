"""Runs transactions on LiteSVM, and keeps accounts as they were, so that each commitment has its own state.

In: transactions, in slots. Out: what they came to; accounts as of a slot. LiteSVM has the newest state only: before a
slot changes an account, the account as it was goes into an undo list; a look at an older slot finds it there.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import orjson
from solders.account import Account
from solders.clock import Clock
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

TOKEN_PROGRAMS: Final = frozenset((TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID))
TOKEN_ACCOUNT_BYTES: Final = 165
MINT_BYTES: Final = 82
FAUCET_LAMPORTS: Final = 500_000_000 * 10**9
KEPT_SLOTS: Final = 400
"""How far back an account can be seen: the deepest finality and the greatest lag together."""


@dataclass(frozen=True, slots=True)
class TokenBalance:
    """What a token account held; index: its place among the transaction's accounts."""

    index: int
    mint: Pubkey
    owner: Pubkey
    program: Pubkey
    amount: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a transaction came to; err in the JSON form of a TransactionError, None where it went well.

    meta is None where it was refused unrun. Balances are lamports of each account; of a simulation they are empty.
    """

    err: Any
    meta: TransactionMetadata | None
    pre: tuple[int, ...] = ()
    post: tuple[int, ...] = ()
    pre_tokens: tuple[TokenBalance, ...] = ()
    post_tokens: tuple[TokenBalance, ...] = ()

    @property
    def lands(self) -> bool:
        """Whether a block would hold it: errors of instructions and of rent are paid for, others never get in."""
        return self.err is None or (
            isinstance(self.err, dict) and bool({"InstructionError", "InsufficientFundsForRent"} & self.err.keys())
        )


class Bank:
    """One LiteSVM, with a memory. Whether a signature verifies and a blockhash is young is its caller's business."""

    def __init__(self, seed: bytes) -> None:
        self._svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self.faucet = Keypair.from_seed(seed)
        self._svm.set_account(self.faucet.pubkey(), Account(FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM))
        self._before: dict[Pubkey, list[tuple[int, Account | None]]] = {}
        self._changed: deque[tuple[int, Pubkey]] = deque()
        self._token_accounts: dict[Pubkey, set[Pubkey]] = {}
        self._time = (-1, -1)
        self.epoch_slots = 432_000

    def simulate(
        self, transaction: VersionedTransaction, slot: int, at_s: int
    ) -> tuple[Outcome, dict[Pubkey, Account]]:
        """Run it and change nothing; and its accounts afterwards."""
        self._set_time(slot, at_s)
        result = self._svm.simulate_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            return Outcome(_err(result), result.meta()), {}
        return Outcome(None, result.meta()), dict(result.post_accounts())

    def execute(self, transaction: VersionedTransaction, slot: int, at_s: int) -> Outcome:
        """Run it in that slot. Slots never go back."""
        self._set_time(slot, at_s)
        message = transaction.message
        keys, writable = message.account_keys, writable_indexes(message)
        accounts = {index: self._svm.get_account(keys[index]) for index in writable}
        for index, account in accounts.items():
            self._remember(keys[index], slot, account)
        pre, pre_tokens = self._balances(keys, accounts)
        result = self._svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            err, meta = _err(result), result.meta()
        else:
            err, meta = None, result
        accounts = {index: self._svm.get_account(keys[index]) for index in writable}
        post, post_tokens = self._balances(keys, accounts)
        for token in post_tokens:
            self._token_accounts.setdefault(token.owner, set()).add(keys[token.index])
        return Outcome(err, meta, pre, post, pre_tokens, post_tokens)

    def account(self, address: Pubkey, slot: int) -> Account | None:
        """The account as it was at the end of that slot; None where there was none."""
        changes = self._before.get(address)
        if changes:
            at = bisect_right(changes, slot, key=lambda change: change[0])
            if at < len(changes):
                return changes[at][1]
        return _there(self._svm.get_account(address))

    def token_accounts(self, owner: Pubkey) -> list[Pubkey]:
        """Addresses that have ever been token accounts of this owner, sorted; look at each whether it still is."""
        return sorted(self._token_accounts.get(owner, ()), key=bytes)

    def rent_lamports(self, data_bytes: int) -> int:
        """What an account of that size must hold to stay."""
        return self._svm.minimum_balance_for_rent_exemption(data_bytes)

    def forget(self, slot: int) -> None:
        """The slot has begun: what was before KEPT_SLOTS of it is not needed any more."""
        while self._changed and self._changed[0][0] < slot - KEPT_SLOTS:
            _, address = self._changed.popleft()
            changes = self._before[address]
            changes.pop(0)
            if not changes:
                del self._before[address]

    def _remember(self, address: Pubkey, slot: int, account: Account | None) -> None:
        changes = self._before.setdefault(address, [])
        if not changes or changes[-1][0] != slot:
            changes.append((slot, _there(account)))
            self._changed.append((slot, address))

    def _set_time(self, slot: int, at_s: int) -> None:
        if self._time != (slot, at_s):
            epoch = slot // self.epoch_slots
            self._svm.set_clock(Clock(slot, 0, epoch, epoch + 1, at_s))
            self._time = (slot, at_s)

    def _balances(
        self, keys: list[Pubkey], accounts: dict[int, Account | None]
    ) -> tuple[tuple[int, ...], tuple[TokenBalance, ...]]:
        lamports, tokens = [], []
        for index, key in enumerate(keys):
            if index not in accounts:
                lamports.append(self._svm.get_balance(key) or 0)
                continue
            account = accounts[index]
            lamports.append(0 if account is None else account.lamports)
            if account is not None and (token := token_balance(index, account)) is not None:
                tokens.append(token)
        return tuple(lamports), tuple(tokens)


def token_balance(index: int, account: Account) -> TokenBalance | None:
    """What a token account holds; None where it is none."""
    if account.owner not in TOKEN_PROGRAMS:
        return None
    data = account.data
    # Of a mint with extensions the byte behind the base account says 1, of a token account 2.
    if len(data) < TOKEN_ACCOUNT_BYTES or (len(data) > TOKEN_ACCOUNT_BYTES and data[TOKEN_ACCOUNT_BYTES] != 2):
        return None
    amount = int.from_bytes(data[64:72], "little")
    return TokenBalance(index, Pubkey.from_bytes(data[:32]), Pubkey.from_bytes(data[32:64]), account.owner, amount)


def writable_indexes(message: Message | MessageV0 | Any) -> list[int]:
    """Which accounts of a message without lookup tables may change."""
    header, count = message.header, len(message.account_keys)
    signers = header.num_required_signatures
    return [
        *range(signers - header.num_readonly_signed_accounts),
        *range(signers, count - header.num_readonly_unsigned_accounts),
    ]


def _there(account: Account | None) -> Account | None:
    return account if account is not None and account.lamports else None


def _err(failed: FailedTransactionMetadata) -> Any:
    return orjson.loads(failed.to_json())["err"]
