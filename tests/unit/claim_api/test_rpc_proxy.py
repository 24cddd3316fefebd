"""POST /rpc's logic: what is passed on, what is refused and how, and that nothing comes out of it but an answer."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_api.rpc_clients import ClientBuckets, client_of
from claim_api.rpc_methods import METHOD_COSTS
from claim_api.rpc_proxy import ProxyAnswer, ProxyBounds, RpcProxy
from streams.chain.rpc.errors import DeadlineExceeded, NoEndpoint, Overloaded, RpcError

ONE = {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": ["wallet"]}
WIDE = ProxyBounds(client_rate_per_s=1e6, client_burst=1e6, all_rate_per_s=1e6, all_burst=1e6)


@dataclass
class Kept:
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)


class SaidPool:
    """Answers every call with the same thing, or raises it."""

    def __init__(self, outcome: bytes | BaseException = b"8") -> None:
        self.outcome = outcome
        self.calls: list[tuple[str, list[Any]]] = []
        self.four = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def call_raw(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        timeout_s: float | None = None,
        answer_bytes: int | None = None,
    ) -> bytes:
        assert timeout_s and answer_bytes == 1 << 20
        self.calls.append((method, list(params)))
        if len(self.calls) == 4:
            self.four.set()
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Proxied:
    """A proxy whose time only tests move."""

    def __init__(self, outcome: bytes | BaseException = b"8", bounds: ProxyBounds = WIDE) -> None:
        self.pool, self.kept, self.now_s = SaidPool(outcome), Kept(), 1000.0
        self.proxy = RpcProxy(self.pool, self.kept, bounds, lambda: self.now_s)

    async def ask(self, asked: object, client: str = "c") -> ProxyAnswer:
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        return await self.proxy.answer(body, client)

    async def error(self, asked: object, status: int = 200) -> tuple[Any, int, str]:
        """Id, code and message of an answer that must be one error."""
        found = await self.ask(asked)
        assert found.status == status, found
        answer = json.loads(found.body)
        assert answer.keys() == {"jsonrpc", "id", "error"} and answer["jsonrpc"] == "2.0"
        return answer["id"], answer["error"]["code"], answer["error"]["message"]


@pytest.mark.parametrize("call_id", [1, 0, -5, 2**63, "a", "", 'ü"\\'])
async def test_a_result_comes_back_under_the_callers_id_byte_for_byte(call_id: object) -> None:
    proxied = Proxied(b'{"a": 18446744073709551615, "b":1.10}')
    found = await proxied.ask(ONE | {"id": call_id})
    assert found.status == 200 and found.retry_after_s is None
    assert found.body.endswith(b'"result":{"a": 18446744073709551615, "b":1.10}}')
    assert json.loads(found.body)["id"] == call_id
    assert proxied.pool.calls == [("getBalance", ["wallet"])]


@pytest.mark.parametrize("method", sorted(METHOD_COSTS))
async def test_every_allowed_method_is_passed_on(method: str) -> None:
    proxied = Proxied()
    await proxied.ask({"jsonrpc": "2.0", "id": 1, "method": method})
    assert proxied.pool.calls == [(method, [])]


@pytest.mark.parametrize(
    "method",
    ["getProgramAccounts", "getLargestAccounts", "getVersion", "getIdentity", "getClusterNodes", "requestAirdrop",
     "getbalance", "getBalance ", "", "constructor", "getVoteAccounts", "getSupply", "x" * 5000],
)  # fmt: skip
async def test_no_other_method_is(method: str) -> None:
    proxied = Proxied()
    assert (await proxied.error(ONE | {"method": method}))[:2] == (1, -32601)
    assert proxied.pool.calls == []


@pytest.mark.parametrize(
    ("asked", "call_id", "code"),
    [
        (5, None, -32600),
        ("text", None, -32600),
        ({}, None, -32600),
        ({"id": 1, "method": "getSlot"}, None, -32600),
        (ONE | {"jsonrpc": "1.0"}, 1, -32600),
        (ONE | {"extra": 1}, None, -32600),
        (ONE | {"id": None}, None, -32600),
        (ONE | {"id": 1.5}, None, -32600),
        (ONE | {"id": [1]}, None, -32600),
        (ONE | {"id": True}, None, -32600),
        (ONE | {"id": "x" * 65}, None, -32600),
        (ONE | {"id": 10**70}, None, -32600),
        ({key: ONE[key] for key in ("jsonrpc", "method", "params")}, None, -32600),
        (ONE | {"params": {"by": "name"}}, None, -32600),
        (ONE | {"params": "x"}, None, -32600),
        (ONE | {"params": ["x" * 8193]}, 1, -32602),
        (ONE | {"params": [[[[[[[1]]]]]]]}, 1, -32602),
        (ONE | {"params": [1] * 513}, 1, -32602),
        (ONE | {"params": [[1] * 200, [1] * 200, [1] * 200]}, 1, -32602),
        (ONE | {"params": [{"k" * 65: 1}]}, 1, -32602),
        (ONE | {"params": [{str(n): 1 for n in range(600)}]}, 1, -32602),
        (ONE | {"params": [2**64]}, 1, -32602),
        (ONE | {"params": [-(2**63) - 1]}, 1, -32602),
    ],
)
async def test_what_is_no_fit_request_is_refused_by_json_rpcs_codes(asked: object, call_id: object, code: int) -> None:
    proxied = Proxied()
    assert (await proxied.error(asked))[:2] == (call_id, code)
    assert proxied.pool.calls == []


async def test_params_up_to_the_bounds_pass() -> None:
    proxied = Proxied()
    for params in (
        ["A" * 8192],
        [[[[[1]]]]],
        [["s"] * 256, {"searchTransactionHistory": True}],
        [2**64 - 1, -(2**63), 1.5, None, True, {"k": "v"}],
    ):
        await proxied.ask(ONE | {"params": params})
        assert proxied.pool.calls[-1] == ("getBalance", params)


@pytest.mark.parametrize("body", [b"", b"{", b"nul", b'{"id": "\xff"}', b"[1,", b"[" * 60000, b"{}{}", b"\x00", b"NaN"])
async def test_a_body_that_is_not_json_is_400(body: bytes) -> None:
    assert (await Proxied().error(body, 400))[:2] == (None, -32700)


async def test_a_body_over_the_bound_is_413() -> None:
    assert (await Proxied().error(b" " * (64 * 1024 + 1), 413))[:2] == (None, -32600)


async def test_a_batch_answers_each_in_order_good_or_bad() -> None:
    proxied = Proxied()
    asked = [ONE | {"id": 1}, ONE | {"id": 2, "method": "getProgramAccounts"}, 7, ONE | {"id": "z"}]
    found = json.loads((await proxied.ask(asked)).body)
    assert [one["id"] for one in found] == [1, 2, None, "z"]
    assert [one.get("error", {}).get("code") for one in found] == [None, -32601, -32600, None]
    assert len(proxied.pool.calls) == 2


async def test_a_batch_holds_one_to_ten() -> None:
    proxied = Proxied()
    assert (await proxied.ask([ONE] * 10)).status == 200
    for asked in ([], [ONE] * 11):
        assert (await proxied.error(asked, 400))[1] == -32600


async def test_the_nodes_own_errors_pass_with_their_data() -> None:
    proxied = Proxied(RpcError(-32002, "Transaction simulation failed", {"err": "AccountNotFound", "logs": []}))
    answer = json.loads((await proxied.ask(ONE)).body)
    assert answer["error"] == {
        "code": -32002, "message": "Transaction simulation failed", "data": {"err": "AccountNotFound", "logs": []},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (RpcError(-32016, "quicknode says no", {"plan": "k3y"}), -32016),
        (RpcError(-32000, "upgrade at helius: k3y"), -32603),
        (RpcError(-32603, "k3y"), -32603),
        (NoEndpoint("getBalance", {"quicknode": "its key k3y is off"}), -32005),
        (DeadlineExceeded("getBalance", 10, {"quicknode": "k3y"}), -32005),
        (Overloaded(256), -32005),
        (ValueError("https://quicknode/k3y"), -32603),
        (RecursionError("k3y"), -32603),
        (ExceptionGroup("quicknode", [OSError("k3y")]), -32603),
    ],
)
async def test_whatever_happens_behind_the_answer_is_ours_and_names_no_node(
    raised: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    proxied = Proxied(raised)
    for asked in (ONE, [ONE, ONE]):
        found = await proxied.ask(asked)
        assert found.status == 200
        answers = json.loads(found.body)
        for answer in answers if isinstance(answers, list) else [answers]:
            assert (answer["id"], answer["error"]["code"]) == (1, code)
            assert "data" not in answer["error"]
        for word in (b"quicknode", b"helius", b"k3y"):
            assert word not in found.body
            assert word.decode() not in caplog.text


async def test_a_client_has_its_rate_and_is_told_when_to_come_again() -> None:
    proxied = Proxied(bounds=ProxyBounds(client_rate_per_s=2.0, client_burst=10.0))
    for _ in range(10):
        assert (await proxied.ask(ONE)).status == 200
    refused = await proxied.ask(ONE)
    assert (refused.status, refused.retry_after_s) == (429, 1)
    assert json.loads(refused.body)["error"]["code"] == 429
    assert (await proxied.ask(ONE, "another")).status == 200
    proxied.now_s += 0.5
    assert (await proxied.ask(ONE)).status == 200
    assert (await proxied.ask(ONE)).status == 429
    assert (await proxied.ask(b"{")).status == 429, "what is no request costs too"
    assert (await proxied.ask([ONE] * 11)).status == 429
    assert (await proxied.ask(ONE | {"method": "none"})).status == 429
    proxied.now_s += 5
    assert (await proxied.ask([ONE | {"method": "sendTransaction"}] * 2)).status == 200
    assert (await proxied.ask(ONE)).retry_after_s == 1
    dear = await proxied.error([ONE | {"method": "sendTransaction"}] * 3, 429)
    assert dear[1] == 429
    proxied.now_s += 100
    assert "costs 15, over the bound of 10" in (await proxied.error([ONE | {"method": "sendTransaction"}] * 3, 400))[2]


async def test_all_clients_together_have_a_rate() -> None:
    proxied = Proxied(bounds=ProxyBounds(all_rate_per_s=1.0, all_burst=5.0))
    statuses = [(await proxied.ask(ONE, f"c{number}")).status for number in range(7)]
    assert statuses == [200] * 5 + [429] * 2


async def test_calls_at_work_are_bounded_with_503() -> None:
    proxied = Proxied(bounds=ProxyBounds(calls_in_flight=4))
    proxied.pool.gate = asyncio.Event()
    asking = asyncio.create_task(proxied.ask([ONE] * 4))
    await proxied.pool.four.wait()
    assert proxied.kept.gauges["rpc_calls_in_flight"]() == 4
    refused = await proxied.ask(ONE)
    assert (refused.status, refused.retry_after_s) == (503, 2)
    assert (await proxied.ask(ONE | {"method": "none"})).status == 200, "it needs no node"
    proxied.pool.gate.set()
    assert (await asking).status == 200
    assert (await proxied.ask(ONE)).status == 200
    assert proxied.kept.gauges["rpc_calls_in_flight"]() == 0
    asking.cancel()


async def test_a_client_that_leaves_gives_its_room_back() -> None:
    proxied = Proxied(bounds=ProxyBounds(calls_in_flight=4))
    proxied.pool.gate = asyncio.Event()
    asking = asyncio.create_task(proxied.ask([ONE] * 4))
    await proxied.pool.four.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert proxied.kept.gauges["rpc_calls_in_flight"]() == 0


def test_buckets_of_clients_are_bounded() -> None:
    buckets = ClientBuckets(1.0, 2.0, 3, lambda: 0.0)
    for client in "abcde":
        assert buckets.take(client, 2) == 0
    assert len(buckets) == 3
    assert buckets.forgotten_total == 2
    assert buckets.take("e", 1) == 1.0, "the newest are remembered"
    assert buckets.take("a", 1) == 0.0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_client_is_an_address_or_a_network_of_ipv6(address: str, client: str) -> None:
    assert client_of(address) == client


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": VALUES,
        "method": st.sampled_from(sorted(METHOD_COSTS)) | st.text(),
        "params": VALUES,
    },
)


@given(
    st.binary() | st.one_of(REQUESTS, st.lists(REQUESTS, max_size=12), VALUES).map(lambda one: json.dumps(one).encode())
)
def test_any_body_gets_a_json_rpc_answer_and_a_fit_status(body: bytes) -> None:
    proxied = Proxied()
    found = asyncio.run(proxied.proxy.answer(body, "c"))
    assert found.status in (200, 400)
    answers = json.loads(found.body)
    for answer in answers if isinstance(answers, list) else [answers]:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
    assert proxied.kept.counts["rpc", "fault"] == 0
    assert all(method in METHOD_COSTS for method, _ in proxied.pool.calls)
