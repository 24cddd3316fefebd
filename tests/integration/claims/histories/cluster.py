"""Several RPC nodes over one chain: each with its own faults, each may lie; the chain dies and comes back from its
journal, and remembers every transaction that anybody ever gave it, to be handed in again.

Real HTTP on real sockets, the local cluster's own methods behind them.
"""

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web
from solders.transaction import VersionedTransaction

from infra.localnet import Faults, LocalnetOptions
from infra.localnet.chain import Chain
from infra.localnet.methods.context import Context
from infra.localnet.rpc import NoAnswer, Rpc

FINALITY_SLOTS: Final = 2
LIE_SLOTS: Final = 400
"""So far ahead a liar says that the chain is. One of them is enough to have an attempt counted alive for as much
longer, so it is less than a settling takes."""


class Node:
    """One node. down: it cuts every connection; lies: it is far ahead and knows no signature and no account; invents:
    it knows a fate of every signature, while others outvote it."""

    def __init__(self, cluster: "Cluster", seed: int) -> None:
        self._cluster = cluster
        self.faults = Faults(seed)
        self.down = self.lies = self.invents = False
        self.url = ""
        self.attach()

    def attach(self) -> None:
        """To the chain that runs now."""
        self._rpc = Rpc(Context(self._cluster.chain, self.faults))

    def well(self) -> None:
        """Nothing of it goes wrong any more."""
        self.faults.clear()
        self.down = self.lies = self.invents = False

    def sure(self) -> bool:
        """Whether it answers every call, and invents nothing."""
        return not self.down and not self.invents and "*" not in self.faults.shown()["rules"]

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One JSON-RPC call."""
        body = await request.read()
        if self.down or self._cluster.down:
            return _cut(request)
        self._cluster.hear(body)
        chain = self._cluster.chain
        try:
            answer = await self._rpc.answer(body)
        except NoAnswer as silence:
            if silence.fault.kind == "timeout":
                return _cut(request)
            return web.Response(status=silence.fault.status)
        if self._cluster.died_since(chain):  # while it worked
            return _cut(request)
        if self.lies:
            answer = _lied(orjson.loads(body)["method"], orjson.loads(answer))
        if self.invents and self._cluster.outvotes():
            answer = _invented(orjson.loads(body), orjson.loads(answer), chain.slot)
        return web.Response(body=answer, content_type="application/json")


class Cluster:
    """chain: the one that runs now; seen: by signature, every transaction that ever came to a node."""

    def __init__(self, folder: Path) -> None:
        self._options = LocalnetOptions(folder=folder, slot_ms=0, sync="process", finality_slots=FINALITY_SLOTS)
        self.nodes: list[Node] = []
        self.seen: dict[str, VersionedTransaction] = {}
        self.down = False
        self.chain = self._opened()

    def _opened(self) -> Chain:
        chain = Chain(self._options)
        chain.open()
        return chain

    def die(self) -> None:
        """As SIGKILL leaves it: what waited to land late is gone, what landed is in the journal."""
        self.down = True
        self.chain.close()

    def died_since(self, chain: Chain) -> bool:
        """Whether that one is dead."""
        return self.down or chain is not self.chain

    def come_back(self) -> None:
        """From the journal."""
        if not self.down:
            return
        self.chain = self._opened()
        for node in self.nodes:
            node.attach()
        self.down = False

    def hear(self, body: bytes) -> None:
        """Somebody on the way keeps a copy."""
        request = orjson.loads(body)
        if request["method"] == "sendTransaction":
            self.keep(base64.b64decode(request["params"][0]))

    def keep(self, transaction: bytes) -> None:
        """Remember it for replays."""
        with contextlib.suppress(ValueError):
            read = VersionedTransaction.from_bytes(transaction)
            self.seen[str(read.signatures[0])] = read

    def replay(self) -> None:
        """Everything that was ever seen, once more, whoever had said yes or no to it."""
        if not self.down:
            for one in self.seen.values():
                self.chain.land(one)

    def outvotes(self) -> bool:
        """Whether those that invent are at most half of the nodes that are sure to answer."""
        return sum(one.invents for one in self.nodes) <= sum(one.sure() for one in self.nodes)

    def well(self) -> None:
        """All nodes are."""
        for node in self.nodes:
            node.well()


@contextlib.asynccontextmanager
async def cluster_of(folder: Path, nodes: int, seed: int) -> AsyncIterator[Cluster]:
    """So many nodes on free ports."""
    cluster = Cluster(folder)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(lambda: None if cluster.down else cluster.chain.close())
        for number in range(nodes):
            node = Node(cluster, seed + number)
            runner = web.ServerRunner(web.Server(node.serve, access_log=None), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            node.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            cluster.nodes.append(node)
        yield cluster


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _lied(method: str, answer: dict[str, Any]) -> bytes:
    result: Any = answer.get("result")
    if result is None:
        return orjson.dumps(answer)
    match method:
        case "getEpochInfo":
            result["blockHeight"] += LIE_SLOTS
        case "getBlockHeight":
            answer["result"] = result + LIE_SLOTS
        case "getSignatureStatuses" | "getMultipleAccounts":
            result["value"] = [None] * len(result["value"])
        case "getSignaturesForAddress":
            answer["result"] = []
        case "getTransaction":
            answer["result"] = None
    return orjson.dumps(answer)


def _invented(request: dict[str, Any], answer: dict[str, Any], slot: int) -> bytes:
    """Every second unknown signature has landed, every other one failed for good."""
    if request["method"] == "getSignatureStatuses" and answer.get("result") is not None:
        known = answer["result"]["value"]
        for place, (signature, status) in enumerate(zip(request["params"][0], known, strict=True)):
            err = None if ord(signature[0]) % 2 else {"InstructionError": [3, {"Custom": 1}]}
            if status is None:
                known[place] = {"slot": slot, "confirmations": None, "err": err, "confirmationStatus": "finalized"}
    return orjson.dumps(answer)
