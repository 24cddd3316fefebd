"""A call has its right answer while one good node is left, whatever the others do."""

import asyncio
import socket
from collections import deque

import pytest

from streams.chain.rpc.config import EndpointConfig, PoolBounds
from streams.chain.rpc.errors import ChainCallError, DeadlineExceeded, NoEndpoint, Overloaded, RpcError
from tests.scripted_rpc import BAD_ANSWERS, Fault, ScriptedNode, Time, pool_of, served, settle

CALL = ("getBalance", ["wallet"])


def right(node: str) -> dict[str, object]:
    return {"by": node, "method": "getBalance", "params": ["wallet"]}


def shown(fault: Fault) -> str:
    return repr(fault)[:40]


@pytest.mark.parametrize("fault", BAD_ANSWERS, ids=shown)
async def test_every_bad_answer_leads_to_the_next_node(fault: Fault) -> None:
    bad, good = ScriptedNode(always=fault), ScriptedNode()
    async with pool_of(bad, good) as pool:
        assert await pool.call(*CALL) == right("n2")
        assert bad.methods(), "the bad one was not asked"
        assert pool.counters.failovers_total == 1


@pytest.mark.parametrize("fault", BAD_ANSWERS, ids=shown)
async def test_a_batch_gets_past_every_bad_answer_too(fault: Fault) -> None:
    bad, good = ScriptedNode(always=fault), ScriptedNode()
    async with pool_of(bad, good) as pool:
        found = await pool.call_many([CALL, ("getSlot", [])])
        assert found == [right("n2"), 1000]


async def test_nodes_that_hang_drip_or_never_end_are_given_up() -> None:
    time = Time()
    hangs, drips, endless, good = (ScriptedNode(always=one) for one in ("hang", "drip", "endless", None))
    async with pool_of(hangs, drips, endless, good, bounds=PoolBounds(timeout_s=60)) as pool:
        calling = asyncio.create_task(pool.call(*CALL, hedge=False))
        await time.move_until(calling.done)
        assert calling.result() == right("n4")
    assert [one.outcomes.get("timeout") for one in pool.report()] == [1, 1, None, None]
    assert pool.report()[2].outcomes == {"oversized": 1}


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_node_that_refuses_us_is_said_to_do_so(status: int) -> None:
    async with pool_of(ScriptedNode(always=status), bounds=PoolBounds(rounds=1)) as pool:
        with pytest.raises(NoEndpoint, match=rf"n1: it refuses us; see to its key \({status}\)"):
            await pool.call(*CALL)
        assert pool.report()[0].outcomes == {"http_other": 1}


async def test_a_redirect_is_not_followed_since_the_key_would_go_along() -> None:
    other = ScriptedNode(name="other")
    async with served(other), pool_of(ScriptedNode(always=f"redirect {other.url}"), ScriptedNode()) as pool:
        assert await pool.call(*CALL) == right("n2")
        assert other.asked == []


async def test_a_refused_connection_leads_to_the_next_node() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets it, and it refuses
        dead = EndpointConfig(url=f"http://127.0.0.1:{taken.getsockname()[1]}/", name="dead")
        async with pool_of(ScriptedNode(), before=[dead]) as pool:
            assert await pool.call(*CALL) == right("n1")
            assert pool.report()[0].outcomes == {"unreachable": 1}


@pytest.mark.parametrize("code", [-32002, -32003, -32006, -32013, -32015, -32018, -32600, -32602])
async def test_an_error_of_the_call_itself_is_final(code: int) -> None:
    error = {"code": code, "message": "preflight: custom program error: 0x1", "data": {"err": "BlockhashNotFound"}}
    first, second = ScriptedNode(results={"sendTransaction": error}), ScriptedNode()
    async with pool_of(first, second) as pool:
        with pytest.raises(RpcError) as raised:
            await pool.call("sendTransaction", ["AQID"])
        assert (raised.value.code, raised.value.message) == (code, error["message"])
        assert raised.value.data == error["data"]
        assert second.asked == []
        for _ in range(10):
            with pytest.raises(RpcError):
                await pool.call("sendTransaction", ["AQID"])
        assert pool.report()[0].breaker == "closed"


async def test_what_no_node_can_do_is_the_nodes_error_and_opens_no_breaker() -> None:
    nodes = [ScriptedNode(results={"getBlock": {"code": -32011, "message": "no history"}}) for _ in range(3)]
    async with pool_of(*nodes) as pool:
        for _ in range(5):
            with pytest.raises(RpcError, match="-32011"):
                await pool.call("getBlock", [1])
        assert [one.breaker for one in pool.report()] == ["closed"] * 3
        assert [len(node.asked) for node in nodes] == [5, 5, 5]


async def test_a_node_that_stumbles_once_is_asked_again_when_no_other_can() -> None:
    time = Time()
    stumbles = ScriptedNode(faults=deque([500]))
    cannot = ScriptedNode(always={"code": -32011, "message": "no history"})
    async with pool_of(cannot, stumbles) as pool:
        calling = asyncio.create_task(pool.call(*CALL))
        await time.move_until(calling.done)
        assert calling.result() == right("n2")
        assert len(cannot.asked) == 1, "its error would be the same again"


async def test_min_context_slot_goes_along_and_nodes_behind_it_come_last() -> None:
    old, new = ScriptedNode(slot=1000), ScriptedNode(slot=1030)
    async with pool_of(old, new) as pool:
        await pool.look_at_nodes()
        await pool.call("getAccountInfo", ["a", {"encoding": "base64"}], min_context_slot=1020)
        assert new.params("getAccountInfo") == ["a", {"encoding": "base64", "minContextSlot": 1020}]
        assert old.methods() == []
        await pool.call("getLatestBlockhash", min_context_slot=1020)
        assert new.params("getLatestBlockhash") == [{"minContextSlot": 1020}]
        with pytest.raises(ValueError, match="getTransaction with 1 params takes no minContextSlot"):
            await pool.call("getTransaction", ["sig"], min_context_slot=1)


async def test_with_all_nodes_down_a_call_ends_with_each_ones_reason() -> None:
    time = Time()
    nodes = [ScriptedNode(always=500), ScriptedNode(always="drop"), ScriptedNode(always=b"<html>")]
    async with pool_of(*nodes) as pool:
        calling = asyncio.create_task(pool.call(*CALL))
        await time.move_until(calling.done)
        failed = calling.exception()
        assert isinstance(failed, NoEndpoint)
        assert list(failed.reasons) == ["n1", "n2", "n3"]
        assert failed.reasons["n1"] == "it answers that it is broken (500)"
        assert failed.reasons["n2"] == "the connection ended in the middle"
        assert failed.reasons["n3"] == "its answer is not JSON-RPC, or not to this call"
        assert pool.counters.calls_failed_total == 1
        for node in nodes:
            node.always = None
        assert (await pool.call(*CALL))["method"] == "getBalance"


async def test_the_deadline_of_a_call_holds_and_blames_no_node() -> None:
    time = Time()
    node = ScriptedNode(always="hang")
    async with pool_of(node) as pool:
        for _ in range(5):
            calling = asyncio.create_task(pool.call(*CALL, timeout_s=1.0))
            assert await time.move_until(calling.done) == pytest.approx(1.0, abs=0.2)
            assert isinstance(calling.exception(), DeadlineExceeded)
            assert "n1: no answer yet" in str(calling.exception())
        await settle()
        assert pool.report()[0].breaker == "closed"
        assert pool.report()[0].outcomes == {"lost": 5}
        assert pool.tasks == 0


async def test_a_caller_that_leaves_takes_its_attempts_along() -> None:
    node = ScriptedNode(always="hang")
    async with pool_of(node) as pool:
        calling = asyncio.create_task(pool.call(*CALL))
        await node.waiting.wait()
        assert pool.report()[0].in_flight == 1
        calling.cancel()
        await asyncio.wait([calling])
        await settle()
        assert pool.tasks == 0
        assert pool.report()[0].in_flight == 0


async def test_calls_at_work_are_bounded() -> None:
    node = ScriptedNode(always="hang")
    async with pool_of(node, bounds=PoolBounds(in_flight=3)) as pool:
        calling = [asyncio.create_task(pool.call(*CALL)) for _ in range(3)]
        await node.waiting.wait()
        with pytest.raises(Overloaded, match="3 calls are at work"):
            await pool.call(*CALL)
        assert pool.counters.calls_refused_total == 1
        node.always = None
        node.release.set()
        await asyncio.gather(*calling)
        assert await pool.call(*CALL) == right("n1")


async def test_one_node_takes_no_more_than_its_share_of_requests_at_work() -> None:
    first, second = ScriptedNode(always="hang"), ScriptedNode()
    async with pool_of(first, second, bounds=PoolBounds(endpoint_in_flight=2)) as pool:
        held = [asyncio.create_task(pool.call(*CALL, hedge=False)) for _ in range(4)]
        await first.waiting.wait()
        await settle()
        assert pool.report()[0].in_flight <= 2
        assert first.held <= 2
        first.release.set()
        assert len(await asyncio.gather(*held)) == 4


async def test_more_calls_than_a_node_may_have_wait_for_room() -> None:
    node = ScriptedNode()
    async with pool_of(node, bounds=PoolBounds(endpoint_in_flight=4)) as pool:
        found = await asyncio.gather(*(pool.call("getBalance", [number]) for number in range(100)))
        assert [one["params"] for one in found] == [[number] for number in range(100)]
        assert pool.counters.waits_for_room_total > 0
        assert not pool._endpoints[0].waiters


async def test_a_call_that_found_no_room_in_its_time_says_so() -> None:
    time = Time()
    node = ScriptedNode(always="hang")
    async with pool_of(node, bounds=PoolBounds(endpoint_in_flight=1)) as pool:
        held = asyncio.create_task(pool.call(*CALL))
        await node.waiting.wait()
        waiting = asyncio.create_task(pool.call(*CALL, timeout_s=1.0))
        await time.move_until(waiting.done)
        assert "n1: 1 requests are at work on it, which is the bound" in str(waiting.exception())
        node.release.set()
        await held
        assert not pool._endpoints[0].waiters


async def test_batches_keep_their_order_and_each_call_its_own_error() -> None:
    node = ScriptedNode(results={"getTransaction": {"code": -32602, "message": "Invalid params"}})
    async with pool_of(node) as pool:
        found = await pool.call_many([("getBalance", ["a"]), ("getTransaction", ["b"]), ("getBalance", ["c"])])
        assert found[::2] == [{"by": "n1", "method": "getBalance", "params": [one]} for one in ("a", "c")]
        assert isinstance(found[1], RpcError) and found[1].code == -32602
        assert await pool.call_many([]) == []
        with pytest.raises(ValueError, match="101 calls in a batch"):
            await pool.call_many([CALL] * 101)


async def test_a_batch_with_an_answer_that_others_might_better_is_returned_when_none_does() -> None:
    nodes = [ScriptedNode(results={"getBlock": {"code": -32011, "message": "no history"}}) for _ in range(2)]
    async with pool_of(*nodes) as pool:
        found = await pool.call_many([CALL, ("getBlock", [1])])
        assert found[0] in (right("n1"), right("n2"))
        assert isinstance(found[1], RpcError) and found[1].code == -32011
        assert all(node.asked for node in nodes)


async def test_numbers_up_to_u64_and_odd_texts_come_through_unchanged() -> None:
    odd = {"rentEpoch": 2**64 - 1, "text": 'ä"\\\n\u2028', "none": None, "deep": [[[[{}]]]]}
    node = ScriptedNode(results={"getAccountInfo": odd})
    async with pool_of(node) as pool:
        assert await pool.call("getAccountInfo", ["a"]) == odd


async def test_before_start_and_after_close_a_call_says_so() -> None:
    node = ScriptedNode()
    async with pool_of(node) as pool:
        await pool.close()
        with pytest.raises(ChainCallError, match="not started, or closed"):
            await pool.call(*CALL)
