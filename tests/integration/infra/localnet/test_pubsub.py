"""PubSub on the next port: one notification for a signature at its commitment, every slot, bounds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from solders.signature import Signature

from infra.localnet import Localnet, LocalnetOptions
from tests.localnet_client import Client, Issuer, client


class Socket:
    """A client of PubSub in raw JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def next(self) -> Any:
        """The next message."""
        return await self._socket.receive_json(timeout=10)

    async def ask(self, method: str, *params: Any) -> Any:
        """Send; the next message is its answer."""
        await self._socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        return await self.next()


@pytest.fixture
async def socket(localnet: Localnet, node: Client) -> AsyncIterator[Socket]:
    async with node.session.ws_connect(localnet.ws_url) as opened:
        yield Socket(opened)


@pytest.mark.parametrize(("commitment", "slots"), [("processed", 0), ("confirmed", 1), ("finalized", 3)])
async def test_a_signature_is_told_once_at_its_commitment(
    localnet: Localnet, node: Client, issuer: Issuer, socket: Socket, commitment: str, slots: int
) -> None:
    transaction = await issuer.paying(issuer.terms(1))
    signature = str(Signature.from_bytes(transaction[1:65]))
    number = (await socket.ask("signatureSubscribe", signature, {"commitment": commitment}))["result"]
    await node.send(transaction)
    landed = localnet.chain.slot
    if slots:
        localnet.chain.advance(slots - 1)
        assert localnet.counters.notices_total == 0
        localnet.chain.advance()
    told = await socket.next()
    assert told["method"] == "signatureNotification"
    assert told["params"]["subscription"] == number
    assert told["params"]["result"]["value"] == {"err": None}
    assert told["params"]["result"]["context"]["slot"] == landed
    localnet.chain.advance(5)
    assert localnet.counters.notices_total == 1
    assert "Invalid subscription id" in (await socket.ask("signatureUnsubscribe", number))["error"]["message"]


async def test_one_that_landed_before_is_told_at_once(
    localnet: Localnet, node: Client, issuer: Issuer, socket: Socket
) -> None:
    await node.send(await issuer.paying(issuer.terms(1)))
    failing = await node.send(await issuer.paying(issuer.terms(1, amount_base_units=1)), skipPreflight=True)
    answer = await socket.ask("signatureSubscribe", failing["result"], {"commitment": "processed"})
    told = await socket.next()
    assert told["params"]["subscription"] == answer["result"]
    assert told["params"]["result"]["value"] == {"err": {"InstructionError": [2, {"Custom": 0}]}}


async def test_slots_are_told_until_unsubscribed(localnet: Localnet, socket: Socket) -> None:
    number = (await socket.ask("slotSubscribe"))["result"]
    newest = localnet.chain.slot
    localnet.chain.advance()
    told = await socket.next()
    assert told["method"] == "slotNotification"
    assert told["params"]["result"] == {"parent": newest, "root": newest - 2, "slot": newest + 1}
    assert (await socket.ask("slotUnsubscribe", number))["result"] is True
    localnet.chain.advance()
    assert localnet.counters.notices_total == 1


async def test_what_cannot_be_subscribed_is_an_error(socket: Socket) -> None:
    assert (await socket.ask("blockSubscribe"))["error"]["code"] == -32601
    assert (await socket.ask("signatureSubscribe", "x"))["error"]["code"] == -32602
    assert (await socket.ask("slotUnsubscribe", 99))["error"]["code"] == -32602
    await socket._socket.send_str("{")
    assert (await socket.next())["error"]["code"] == -32700


async def test_sockets_and_subscriptions_are_bounded(tmp_path: Path) -> None:
    options = LocalnetOptions(folder=tmp_path / "small", port=0, slot_ms=0, max_sockets=1, max_subscriptions=2)
    async with Localnet(options) as localnet, client(localnet.url) as node:
        async with node.session.ws_connect(localnet.ws_url) as opened:
            socket = Socket(opened)
            assert (await socket.ask("slotSubscribe"))["result"]
            assert (await socket.ask("signatureSubscribe", str(Signature.default())))["result"]
            assert "2 subscriptions are open" in (await socket.ask("slotSubscribe"))["error"]["message"]
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await node.session.ws_connect(localnet.ws_url)
        assert localnet.counters.sockets_refused_total == 1
        assert localnet.counters.subscriptions_refused_total == 1


async def test_a_client_that_does_not_read_is_cut_off(localnet: Localnet, node: Client, socket: Socket) -> None:
    await socket.ask("slotSubscribe")
    for _ in range(5_000):  # no await between: nothing can be sent meanwhile
        localnet.chain.advance()
    assert localnet.counters.notices_dropped_total > 0
    async with asyncio.timeout(10):
        while (message := await socket._socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_the_rpc_port_says_where_pubsub_is(localnet: Localnet, node: Client) -> None:
    async with node.session.post(localnet.ws_url.replace("ws", "http"), json={}) as answer:
        assert answer.status == 405
        assert "JSON-RPC is on the port before" in await answer.text()
