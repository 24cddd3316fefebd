"""A node that answers with something else than its method's result: one good node beside it is enough, and alone it is
a chain that is away. Nothing but ChainAway may come of it."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import Transaction

from claim_api.chain.port import (
    Account,
    Blockhash,
    ChainAway,
    Finding,
    LandedTransaction,
    Landing,
    Look,
    Status,
    Subject,
)
from claim_api.chain.rpc import RpcChain
from streams.chain.rpc.config import PoolBounds
from tests.scripted_rpc import ScriptedNode, pool_of

KEY = Keypair()
HASH = str(Hash.new_unique())
ADDRESS = str(Keypair().pubkey())


def transaction() -> Transaction:
    message = Message.new_with_blockhash([], KEY.pubkey(), Hash.from_string(HASH))
    return Transaction([KEY], message, message.recent_blockhash)


BYTES = bytes(transaction())
SIGNATURE = str(transaction().signatures[0])
OTHER = str(Keypair().sign_message(b"another"))
PAPER = [base64.b64encode(BYTES).decode(), "base64"]
ACCOUNT = {"lamports": 5, "owner": ADDRESS, "data": ["AQI=", "base64"], "executable": False, "rentEpoch": 2**64 - 1}
STATUS = {"slot": 9, "confirmations": None, "err": None, "status": {"Ok": None}, "confirmationStatus": "finalized"}
LANDING = {"signature": SIGNATURE, "slot": 9, "err": None, "memo": None, "blockTime": 1}
EPOCH = {"absoluteSlot": 12, "blockHeight": 10, "epoch": 0, "slotIndex": 12, "slotsInEpoch": 432_000}


def put(value: Any, **changes: Any) -> Any:
    """The same with other values; ... takes one away."""
    return {name: one for name, one in (value | changes).items() if one is not ...}


def of(value: Any) -> Any:
    return {"context": {"slot": 12}, "value": value}


@dataclass(frozen=True)
class Asked:
    """What RpcChain asks, a good result of each method that it needs for that, what comes of it; and wrong results of
    the method named."""

    ask: Callable[[RpcChain], Awaitable[Any]]
    good: dict[str, Any]
    value: Any
    method: str
    wrong: tuple[Any, ...]


LOOK = {"getEpochInfo": EPOCH, "getMultipleAccounts": of([None]), "getSignatureStatuses": of([None])}
DEAD = Look(12, (Finding.DEAD,))
NONSENSE: tuple[Any, ...] = (None, True, -1, 1.5, "no", [], {}, [None], {"value": None}, {"value": {}}, 2**63)


async def look(chain: RpcChain) -> Look:
    return await chain.look([Subject(ADDRESS, SIGNATURE, 9)])


RECENT = {"blockhash": HASH, "lastValidBlockHeight": 160}
FOUND = {"slot": 9, "meta": {"err": None}, "transaction": PAPER}
ASKED = {
    "latest blockhash": Asked(
        lambda chain: chain.latest_blockhash(), {"getLatestBlockhash": of(RECENT)}, Blockhash(HASH, 160),
        "getLatestBlockhash",
        (*(of(put(RECENT, blockhash=one)) for one in (None, 7, "", "1" * 44, "0OIl", ...)),
         *(of(put(RECENT, lastValidBlockHeight=one)) for one in (None, "160", -1, 2**63, ...))),
    ),
    "block height": Asked(lambda chain: chain.block_height(), {"getBlockHeight": 10}, 10, "getBlockHeight", ("10",)),
    "finalized height": Asked(
        lambda chain: chain.finalized_height(), {"getBlockHeight": 10}, 10, "getBlockHeight", ("10",)
    ),
    "marker lamports": Asked(
        lambda chain: chain.marker_lamports(), {"getMinimumBalanceForRentExemption": 890_880}, 890_880,
        "getMinimumBalanceForRentExemption", ("890880",),
    ),
    "send": Asked(lambda chain: chain.send(BYTES), {"sendTransaction": SIGNATURE}, None, "sendTransaction", ("1",)),
    "statuses": Asked(
        lambda chain: chain.statuses([SIGNATURE], history=True), {"getSignatureStatuses": of([STATUS])},
        [Status(9, True, None)], "getSignatureStatuses",
        (of([]), of([STATUS, STATUS]), of([[]]), of(["finalized"]), of([put(STATUS, slot=...)]),
         of([put(STATUS, slot="9")]), of([put(STATUS, slot=2**63)]), of([put(STATUS, err=...)]),
         of([put(STATUS, confirmationStatus=7)]), of([put(STATUS, err=["x" * 1001])])),
    ),
    "look: epoch": Asked(
        look, LOOK, DEAD, "getEpochInfo",
        (put(EPOCH, blockHeight=...), put(EPOCH, blockHeight="10"), put(EPOCH, absoluteSlot=None)),
    ),
    "look: accounts": Asked(
        look, LOOK, DEAD, "getMultipleAccounts", (of([]), of([None, None]), of([7]), of([put(ACCOUNT, data=None)])),
    ),
    "look: histories": Asked(look, LOOK, DEAD, "getSignatureStatuses", (of([]), of([None, None]), of([{}]))),
    "landings": Asked(
        lambda chain: chain.landings(ADDRESS), {"getSignaturesForAddress": [LANDING]}, [Landing(SIGNATURE, 9, None)],
        "getSignaturesForAddress",
        ([7], [{}], [put(LANDING, signature="x")], [put(LANDING, slot=...)], [put(LANDING, err=...)], [LANDING] * 1001),
    ),
    "transaction": Asked(
        lambda chain: chain.transaction(SIGNATURE), {"getTransaction": FOUND}, LandedTransaction(9, None, BYTES),
        "getTransaction",
        (put(FOUND, meta=None), put(FOUND, meta={}), put(FOUND, transaction=[]), put(FOUND, transaction="AQI="),
         put(FOUND, transaction=["%", "base64"]), put(FOUND, transaction=["AQI=", "base64"]), put(FOUND, slot=None)),
    ),
    "accounts": Asked(
        lambda chain: chain.accounts([ADDRESS]), {"getMultipleAccounts": of([ACCOUNT])},
        [Account(5, ADDRESS, b"\x01\x02")], "getMultipleAccounts",
        (of([]), of([ACCOUNT, None]), of([put(ACCOUNT, lamports="5")]), of([put(ACCOUNT, owner=...)]),
         of([put(ACCOUNT, data=[])]), of([put(ACCOUNT, data=["%", "base64"])])),
    ),
    "supply": Asked(
        lambda chain: chain.supply_base_units(ADDRESS), {"getTokenSupply": of({"amount": "8", "decimals": 9})}, 8,
        "getTokenSupply", (of({"amount": 8}), of({"amount": "-8"}), of({"amount": ""}), of({"amount": "8" * 21})),
    ),
}  # fmt: skip
NOT_WRONG: dict[str, tuple[Any, ...]] = {"getTransaction": (None,), "getSignaturesForAddress": ([],)}
"""These say: there is none."""


def wrong_of(asked: Asked) -> list[Any]:
    fine = NOT_WRONG.get(asked.method, ())
    return [*(one for one in NONSENSE if one not in fine), *asked.wrong]


@pytest.mark.parametrize("what", ASKED)
async def test_one_good_node_beside_it_is_enough(what: str) -> None:
    asked = ASKED[what]
    for wrong in wrong_of(asked):
        # Two good ones for a look, where more than half must answer.
        good = [ScriptedNode(results=asked.good) for _ in range(2)]
        bad = ScriptedNode(results=asked.good | {asked.method: wrong})
        async with pool_of(bad, *good) as pool:
            assert await asked.ask(RpcChain(pool)) == asked.value, wrong
            assert pool.report()[0].outcomes.get("misshapen") == 1, wrong


@pytest.mark.parametrize("what", ASKED)
async def test_alone_it_is_a_chain_that_is_away(what: str) -> None:
    asked = ASKED[what]
    for wrong in wrong_of(asked):
        async with pool_of(
            ScriptedNode(results=asked.good | {asked.method: wrong}), bounds=PoolBounds(round_pause_s=0.0)
        ) as pool:
            with pytest.raises(ChainAway):
                await asked.ask(RpcChain(pool))


async def test_the_breaker_learns_of_it() -> None:
    async with pool_of(ScriptedNode(results={"getBlockHeight": None})) as pool:
        for _ in range(3):
            with pytest.raises(ChainAway):
                await RpcChain(pool).block_height()
        assert pool.report()[0].breaker == "open"


async def test_another_transaction_than_the_one_asked_for_is_no_answer() -> None:
    async with pool_of(ScriptedNode(results={"getTransaction": FOUND})) as pool:
        with pytest.raises(ChainAway):
            await RpcChain(pool).transaction(OTHER)


async def test_what_a_node_says_against_a_transaction_can_be_written_down() -> None:
    refuses = ScriptedNode(results={"sendTransaction": {"code": -32003, "message": "no\0signature"}})
    async with pool_of(refuses) as pool:
        said = await RpcChain(pool).send(BYTES)
        assert said is not None and said.endswith("nosignature")
