"""What a node must answer to each method that RpcChain asks: a result's JSON in, the port's values out.

Each function raises for whatever has not its method's shape; the pool then counts it against the node and asks the next
one. Source of the shapes: Solana's RPC methods, encoding base64. Numbers fit a signed 64-bit integer, as the ledger has
them.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import orjson
from msgspec import Meta
from solders.hash import Hash
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from claim_api.chain.port import Account, Blockhash, LandedTransaction, Landing, Status

T = TypeVar("T")
PAGE: Final = 1000
"""Landings of one getSignaturesForAddress. Source: Solana's bound of its limit."""
MAX_ERROR_CHARACTERS: Final = 1000
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class WrongShape(ValueError):
    """The result is none of this method's, or not to what was asked."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Where a node stands."""

    height: int
    slot: int


class _Value(msgspec.Struct, Generic[T]):
    value: T


class _Recent(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: Number


class _Epoch(msgspec.Struct, rename="camel"):
    block_height: Number
    absolute_slot: Number


class _Status(msgspec.Struct, rename="camel"):
    slot: Number
    err: Any
    confirmation_status: str | None = None


class _Account(msgspec.Struct):
    lamports: Number
    owner: str
    data: tuple[str, str]


class _Landing(msgspec.Struct):
    signature: str
    slot: Number
    err: Any


class _Meta(msgspec.Struct):
    err: Any


class _Transaction(msgspec.Struct):
    slot: Number
    meta: _Meta
    transaction: tuple[str, str]


class _Supply(msgspec.Struct):
    amount: Annotated[str, Meta(pattern="^[0-9]{1,20}$")]


_number: Final = msgspec.json.Decoder(Number).decode
_text: Final = msgspec.json.Decoder(str).decode
_recent: Final = msgspec.json.Decoder(_Value[_Recent]).decode
_epoch: Final = msgspec.json.Decoder(_Epoch).decode
_statuses: Final = msgspec.json.Decoder(_Value[list[_Status | None]]).decode
_accounts: Final = msgspec.json.Decoder(_Value[list[_Account | None]]).decode
_landings: Final = msgspec.json.Decoder(Annotated[list[_Landing], Meta(max_length=PAGE)]).decode
_transaction: Final = msgspec.json.Decoder(_Transaction | None).decode
_supply: Final = msgspec.json.Decoder(_Value[_Supply]).decode


def number(raw: bytes) -> int:
    """A height, or lamports."""
    return _number(raw)


def signature(raw: bytes) -> str:
    """Of a transaction that was taken."""
    return str(Signature.from_string(_text(raw)))


def blockhash(raw: bytes) -> Blockhash:
    """Of getLatestBlockhash."""
    value = _recent(raw).value
    return Blockhash(str(Hash.from_string(value.blockhash)), value.last_valid_block_height)


def epoch(raw: bytes) -> Epoch:
    """Of getEpochInfo."""
    value = _epoch(raw)
    return Epoch(value.block_height, value.absolute_slot)


def statuses_of(count: int) -> Callable[[bytes], list[Status | None]]:
    """Of getSignatureStatuses for so many signatures."""

    def parse(raw: bytes) -> list[Status | None]:
        return [None if one is None else _status(one) for one in _all(_statuses(raw).value, count)]

    return parse


def accounts_of(count: int) -> Callable[[bytes], list[Account | None]]:
    """Of getMultipleAccounts for so many addresses."""

    def parse(raw: bytes) -> list[Account | None]:
        return [None if one is None else _account(one) for one in _all(_accounts(raw).value, count)]

    return parse


def landings(raw: bytes) -> list[Landing]:
    """Of getSignaturesForAddress."""
    return [Landing(str(Signature.from_string(one.signature)), one.slot, _error(one.err)) for one in _landings(raw)]


def transaction_of(asked: str) -> Callable[[bytes], LandedTransaction | None]:
    """Of getTransaction for that signature."""

    def parse(raw: bytes) -> LandedTransaction | None:
        found = _transaction(raw)
        if found is None:
            return None
        read = base64.b64decode(found.transaction[0], validate=True)
        whole = VersionedTransaction.from_bytes(read)
        # Verified, so that no node can give the signature of one transaction to the bytes of another.
        if asked not in map(str, whole.signatures[:1]) or not all(whole.verify_with_results()):
            raise WrongShape("another transaction than was asked for")
        return LandedTransaction(found.slot, _error(found.meta.err), read)

    return parse


def supply(raw: bytes) -> int:
    """Of getTokenSupply, in base units."""
    return int(_supply(raw).value.amount)


def _all(found: list[T], count: int) -> list[T]:
    if len(found) != count:
        raise WrongShape(f"{len(found)} values to {count} names")
    return found


def _status(one: _Status) -> Status:
    return Status(one.slot, one.confirmation_status == "finalized", _error(one.err))


def _account(one: _Account) -> Account:
    return Account(one.lamports, one.owner, base64.b64decode(one.data[0], validate=True))


def _error(err: Any) -> str | None:
    """The chain's error as JSON text, "BlockhashNotFound" or {"InstructionError":[2,{"Custom":0}]}."""
    if err is None:
        return None
    text = orjson.dumps(err, option=orjson.OPT_SORT_KEYS).decode()
    if len(text) > MAX_ERROR_CHARACTERS:
        raise WrongShape(f"an error of {len(text)} characters")
    return text
