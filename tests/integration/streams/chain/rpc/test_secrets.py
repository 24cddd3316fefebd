"""No part of a node's address but its name shows anywhere: not in errors, causes, logs, reprs, metrics or answers."""

import logging
import traceback

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streams.chain.rpc.config import EndpointConfig, PoolBounds, endpoints_of
from streams.chain.rpc.errors import ChainCallError, RpcConfigError
from streams.chain.rpc.metrics import PoolMetrics
from streams.chain.rpc.pool import RpcPool
from tests.scripted_rpc import BAD_ANSWERS, KEY, QUERY_KEY, SECRETS, Fault, ScriptedNode, pool_of

CALL = ("getBalance", ["wallet"])


def everything_of(error: BaseException) -> str:
    """All that a log could print of it, causes that are shown included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def check(text: str) -> None:
    assert text
    for secret in (*SECRETS, "127.0.0.1:", "api-key", "/v2/"):
        assert secret not in text, text


@pytest.mark.parametrize("fault", [*BAD_ANSWERS, "gone"], ids=lambda fault: repr(fault)[:40])
async def test_whatever_a_node_does_its_address_stays_secret(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node = ScriptedNode()
    async with pool_of(node, bounds=PoolBounds(rounds=1, breaker_failures=2)) as pool:
        node.always = fault if fault != "gone" else None
        if fault == "gone":
            pool._endpoints[0]._url = pool._endpoints[0]._url.with_port(1)
        registry = CollectorRegistry()
        registry.register(PoolMetrics(pool))
        for _ in range(3):
            with pytest.raises(ChainCallError) as raised:
                await pool.call(*CALL, timeout_s=0.5)
            check(everything_of(raised.value))
        await pool.look_at_nodes()
        check(repr((await pool.look_everywhere(*CALL, timeout_s=0.5)).missing))
        check(repr(await pool.send_everywhere(b"\x01", timeout_s=0.5)))
        check(repr(pool) + repr(pool._endpoints) + repr(pool._configured[0][2]) + repr(pool.report()))
        check(generate_latest(registry).decode())
        # aiohttp and asyncio log for themselves; the servers' own lines are not ours.
    check("".join(one.getMessage() for one in caplog.records if not one.name.startswith("aiohttp.server")) or "-")


async def test_a_key_that_a_node_repeats_is_taken_out_of_results_and_errors() -> None:
    node = ScriptedNode(results={"getBalance": {"asked": f"https://host/{KEY}?api-key={QUERY_KEY}"}})
    async with pool_of(node) as pool:
        assert await pool.call(*CALL) == {"asked": "https://host/[redacted]?api-key=[redacted]"}
        node.results["getBalance"] = {"code": -32602, "message": f"bad, {KEY.upper()}", "data": {"at": "127.0.0.1"}}
        with pytest.raises(ChainCallError) as raised:
            await pool.call(*CALL)
        assert str(raised.value) == "the node answers -32602: bad, [node]"
        assert vars(raised.value)["data"] == {"at": "[node]"}


async def test_an_unforeseen_fault_inside_is_logged_by_its_kind_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = ScriptedNode(), ScriptedNode()
    async with pool_of(bad, good) as pool:

        async def fails(*_: object) -> tuple[int, bytes]:
            raise ValueError(f"cannot parse {bad.url}")

        monkeypatch.setattr(pool._endpoints[0], "post", fails)
        assert (await pool.call(*CALL))["by"] == "n2"
        assert pool.counters.faults_total == 1
        assert "node n1: ValueError while getBalance was asked" in caplog.text
        check(caplog.text)


@pytest.mark.parametrize(
    "url", [f"ftp://host/{KEY}", f"/{KEY}", f"https://host:port/{KEY}", f"https:///{KEY}", f"http://[::1/{KEY}"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(RpcConfigError, match="RPC node number 2 has no address of the form") as raised:
        RpcPool([EndpointConfig(url="https://good.example/"), EndpointConfig(url=url)])
    check(everything_of(raised.value))


def test_nodes_are_named_by_their_host_and_told_apart_by_port_or_number() -> None:
    urls = f"https://a.example/{KEY}, https://b.example/?k={KEY},http://127.0.0.1:8899,http://127.0.0.1:8900,"
    pool = RpcPool([*endpoints_of(urls), EndpointConfig(url="https://a.example/other", name="mine")])
    assert [name for name, _, _ in pool._configured] == [
        "a.example", "b.example", "127.0.0.1:8899", "127.0.0.1:8900", "mine",
    ]  # fmt: skip
    twice = RpcPool(endpoints_of("https://a.example/1,https://a.example/2"))
    assert [name for name, _, _ in twice._configured] == ["a.example:443", "a.example:443#2"]
    with pytest.raises(RpcConfigError, match="no RPC node is named"):
        RpcPool(endpoints_of(" , "))
