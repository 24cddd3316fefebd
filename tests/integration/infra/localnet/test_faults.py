"""Every fault does what it says, and no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from solders.hash import Hash

from infra.localnet import Fault, Localnet, LocalnetOptions
from infra.localnet.errors import RpcError
from streams.chain import signing
from streams.chain.terms import build_message
from tests.localnet_client import PROCESSED, Client, Issuer, client


async def status_of(node: Client, method: str, *params: Any) -> tuple[int, dict[str, str]]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with node.session.post(node.url, json=body) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_http_status_instead_of_an_answer(localnet: Localnet, node: Client, status: int) -> None:
    localnet.faults.set("getSlot", Fault("http", status=status))
    got, headers = await status_of(node, "getSlot")
    assert got == status
    assert ("retry-after" in headers) == (status == 429)
    assert (await status_of(node, "getHealth"))[0] == 200
    localnet.faults.clear()
    assert (await status_of(node, "getSlot"))[0] == 200
    assert localnet.counters.faults_total == 1


async def test_an_error_instead_of_an_answer(localnet: Localnet, node: Client) -> None:
    localnet.faults.set("*", Fault("error", code=-32005, message="Node is unhealthy"))
    assert await node.error("getSlot") == {"code": -32005, "message": "Node is unhealthy"}
    localnet.faults.set("*", None)
    assert await node.get("getSlot")


async def test_no_answer_at_all(localnet: Localnet, node: Client) -> None:
    localnet.faults.set("getSlot", Fault("timeout", after_ms=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await node.get("getSlot")


async def test_a_rate_strikes_some_and_times_end_it(tmp_path: Path) -> None:
    options = LocalnetOptions(folder=tmp_path / "seeded", port=0, slot_ms=0, seed=7)
    async with Localnet(options) as localnet, client(localnet.url) as node:
        localnet.faults.set("getSlot", Fault("error", rate=0.5))
        struck = ["error" in await node.ask("getSlot") for _ in range(100)]
        assert 30 < sum(struck) < 70
        localnet.faults.set("getSlot", Fault("error", times=2))
        assert ["error" in await node.ask("getSlot") for _ in range(4)] == [True, True, False, False]
    async with Localnet(options) as again, client(again.url) as node:
        again.faults.set("getSlot", Fault("error", rate=0.5))
        assert ["error" in await node.ask("getSlot") for _ in range(100)] == struck


async def test_yes_and_the_transaction_is_lost(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    localnet.faults.set("sendTransaction", Fault("drop", times=1))
    transaction = await issuer.paying(issuer.terms(1))
    signature = (await node.send(transaction))["result"]
    localnet.chain.advance(5)
    assert await node.status(signature) is None
    assert (await node.send(transaction))["result"] == signature
    assert await node.status(signature) is not None


async def test_no_and_the_transaction_lands(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    localnet.faults.set("sendTransaction", Fault("deny", times=1))
    terms = issuer.terms(1)
    transaction = await issuer.paying(terms)
    assert (await node.send(transaction))["error"]["code"] == -32603
    assert (await node.send(transaction))["error"]["data"]["err"] == "AlreadyProcessed"
    held = await node.get("getTokenAccountBalance", str(terms.token_account), PROCESSED)
    assert held["value"]["amount"] == "8000000000"


@pytest.mark.parametrize(("slots", "lands"), [(5, True), (150, True), (151, False)])
async def test_it_lands_late_if_it_still_can(
    localnet: Localnet, node: Client, issuer: Issuer, slots: int, lands: bool
) -> None:
    localnet.faults.set("sendTransaction", Fault("late", slots=slots, times=1))
    signature = (await node.send(await issuer.paying(issuer.terms(1))))["result"]
    localnet.chain.advance(slots - 1)
    assert await node.status(signature) is None
    localnet.chain.advance()
    assert (await node.status(signature) is not None) == lands


async def test_a_late_one_and_its_successor_pay_once(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    localnet.faults.set("sendTransaction", Fault("late", slots=5, times=1))
    late = (await node.send(await issuer.paying(terms)))["result"]
    localnet.chain.advance()
    second = (await node.send(await issuer.paying(terms)))["result"]
    localnet.chain.advance(5)
    assert (await node.status(late))["err"] == {"InstructionError": [2, {"Custom": 0}]}
    assert (await node.status(second))["err"] is None
    held = await node.get("getTokenAccountBalance", str(terms.token_account), PROCESSED)
    assert held["value"]["amount"] == "8000000000"


async def test_a_stale_node_shows_the_past(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    localnet.chain.advance(20)
    terms, now = issuer.terms(1), localnet.chain.slot
    young = str(await node.blockhash())
    signature = (await node.send(await issuer.paying(terms)))["result"]
    localnet.faults.lag(10)
    assert await node.get("getSlot", PROCESSED) == now - 10
    assert await node.status(signature) is None
    assert (await node.get("getAccountInfo", str(terms.marker), PROCESSED))["value"] is None
    assert not (await node.get("isBlockhashValid", young, PROCESSED))["value"]
    assert (await node.error("getSlot", {"minContextSlot": now, **PROCESSED}))["code"] == -32016
    # What it accepts lands in the cluster, which is ahead of it.
    other = issuer.terms(2)
    sent = (await node.send(await issuer.paying(other)))["result"]
    entry = localnet.chain.ledger.get(sent, now)
    assert entry is not None
    assert entry.slot == now
    # A blockhash that the cluster has and the node has not seen.
    message = build_message(issuer.terms(3), Hash.from_string(young))
    unseen = signing.sign(signing.unsigned(message), issuer.payer, issuer.authority)
    assert (await node.send(unseen))["error"]["data"]["err"] == "BlockhashNotFound"
    localnet.faults.clear()
    assert await node.status(signature) is not None


async def test_a_node_far_behind_says_that_it_is_ill(localnet: Localnet, node: Client) -> None:
    localnet.faults.lag(129)
    error = await node.error("getHealth")
    assert (error["code"], error["data"]) == (-32005, {"numSlotsBehind": 129})


async def test_a_frozen_chain_lands_nothing_until_it_thaws(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    localnet.chain.freeze()
    signature = (await node.send(await issuer.paying(issuer.terms(1))))["result"]
    before = await node.get("getSlot", PROCESSED)
    localnet.chain.tick()
    assert await node.get("getSlot", PROCESSED) == before
    assert await node.status(signature) is None
    localnet.chain.thaw()
    localnet.chain.advance()
    assert await node.status(signature) is not None


async def test_what_waits_is_bounded(localnet: Localnet, node: Client, issuer: Issuer, tmp_path: Path) -> None:
    options = LocalnetOptions(folder=tmp_path / "small", port=0, slot_ms=0, max_waiting=1)
    async with Localnet(options) as small, client(small.url) as other:
        few = await Issuer.make(other)
        small.chain.freeze()
        for number in (1, 2):
            await other.send(await few.paying(few.terms(number)))
        assert small.counters.transactions_dropped_total == 1


def test_faults_that_cannot_be_are_refused() -> None:
    for wrong in ({"kind": "magic"}, {"kind": "http", "status": 404}, {"kind": "error", "rate": 2.0}):
        with pytest.raises(RpcError, match="fault"):
            Fault(**wrong)


@pytest.fixture
async def by_rpc(tmp_path: Path) -> AsyncIterator[tuple[Localnet, Client]]:
    options = LocalnetOptions(folder=tmp_path / "faults", port=0, slot_ms=0, faults_by_rpc=True)
    async with Localnet(options) as localnet, client(localnet.url) as node:
        yield localnet, node


async def test_faults_from_outside(by_rpc: tuple[Localnet, Client]) -> None:
    localnet, node = by_rpc
    shown = await node.get("twzrd_setFault", "*", {"kind": "error", "message": "Ouch"})
    assert shown == {"lag_slots": 0, "rules": {"*": "error"}}
    assert (await node.error("getSlot"))["message"] == "Ouch"
    await node.get("twzrd_setFault", "*", None)
    assert (await node.error("twzrd_setFault", "*", {"kind": "error", "colour": 1}))["code"] == -32602
    before = await node.get("getSlot", PROCESSED)
    assert await node.get("twzrd_advance", 5) == before + 5
    assert (await node.get("twzrd_setLag", 2))["lag_slots"] == 2
    assert await node.get("getSlot", PROCESSED) == before + 3
    for frozen in (True, False):
        await node.get("twzrd_setFrozen", frozen)
        assert localnet.chain.clock.frozen is frozen
    assert (await node.get("twzrd_counters"))["faults_total"] == 1


async def test_a_silent_call_keeps_no_other_waiting(localnet: Localnet, node: Client) -> None:
    localnet.faults.set("getSlot", Fault("timeout", after_ms=60_000))
    silent = asyncio.create_task(node.ask("getSlot"))
    assert await node.get("getHealth") == "ok"
    assert not silent.done()
    silent.cancel()
    await asyncio.gather(silent, return_exceptions=True)
