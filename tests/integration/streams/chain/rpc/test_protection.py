"""Breakers, rates, rest, hedges and the watch: how the pool spares nodes, itself and its callers."""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from streams.chain.rpc.config import PoolBounds
from streams.chain.rpc.errors import DeadlineExceeded, NoEndpoint
from streams.chain.rpc.pool import RpcPool
from tests.scripted_rpc import PROBE, ScriptedNode, Time, pool_of, settle

CALL = ("getBalance", ["wallet"])
ONE_ROUND = PoolBounds(rounds=1)


def breaker(pool: RpcPool, index: int = 0) -> str:
    return pool.report()[index].breaker


async def test_a_breaker_opens_after_three_faults_is_tried_after_its_time_and_closes() -> None:
    time = Time()
    node = ScriptedNode(always=500)
    async with pool_of(node, bounds=ONE_ROUND) as pool:
        for _ in range(3):
            assert breaker(pool) == "closed"
            with pytest.raises(NoEndpoint):
                await pool.call(*CALL)
        assert breaker(pool) == "open"
        with pytest.raises(NoEndpoint, match=r"n1: its breaker is open for [01]\.\d s more"):
            await pool.call(*CALL)
        assert len(node.asked) == 3, "an open breaker lets nothing through"
        time.move(1.0)
        assert breaker(pool) == "half-open"
        node.always = None
        assert (await pool.call(*CALL))["by"] == "n1"
        assert breaker(pool) == "closed"


async def test_a_half_open_breaker_lets_one_through_and_a_failed_trial_doubles_the_time() -> None:
    time = Time()
    node = ScriptedNode(always=500)
    async with pool_of(node, bounds=ONE_ROUND) as pool:
        for _ in range(3):
            with pytest.raises(NoEndpoint):
                await pool.call(*CALL)
        for open_s in (1, 2, 4, 8, 16, 32, 60, 60):
            time.move(open_s - 0.5)
            assert breaker(pool) == "open", open_s
            time.move(0.5)
            assert breaker(pool) == "half-open", open_s
            node.waiting.clear()
            node.release.clear()
            node.always = "hang"
            trial = asyncio.create_task(pool.call(*CALL))
            await node.waiting.wait()
            with pytest.raises(NoEndpoint, match="half-open and a trial under way"):
                await pool.call(*CALL)
            trial.cancel()  # says nothing of the node: the next one is the trial
            await asyncio.wait([trial])
            await settle()
            node.always = 500
            with pytest.raises(NoEndpoint):
                await pool.call(*CALL)


async def test_a_flapping_node_is_left_alone_longer_each_time() -> None:
    time = Time()
    node = ScriptedNode(probes_too=False)
    async with pool_of(node, bounds=ONE_ROUND) as pool:
        waited: list[float] = []
        for _ in range(5):
            node.always = "drop"
            for _ in range(3):
                with pytest.raises(NoEndpoint):
                    await pool.call(*CALL)
            node.always = None
            waited.append(await time.move_until(lambda: breaker(pool) == "half-open"))
            await pool.call(*CALL)
            assert breaker(pool) == "closed"
        assert [round(one) for one in waited] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(status: int) -> None:
    time = Time()
    node, other = ScriptedNode(faults=deque([status]), retry_after="7"), ScriptedNode()
    async with pool_of(node, other) as pool:
        assert (await pool.call(*CALL))["by"] == "n2"
        for _ in range(20):
            assert (await pool.call(*CALL))["by"] == "n2"
        assert len(node.asked) == 1
        assert "it asked to be left alone for" in str(pool.report()[0].out)
        assert await time.move_until(lambda: pool.report()[0].out is None) == pytest.approx(7.0, abs=0.3)


async def test_retry_after_as_a_date_and_beyond_reason_is_bounded() -> None:
    time = Time()
    node = ScriptedNode(faults=deque([429]), retry_after=format_datetime(datetime.now(UTC) + timedelta(days=30), True))
    async with pool_of(node, ScriptedNode()) as pool:
        await pool.call(*CALL)
        assert await time.move_until(lambda: pool.report()[0].out is None, 1.0) == pytest.approx(120.0, abs=2)


async def test_a_429_without_retry_after_rests_the_node_longer_each_time_and_opens_no_breaker() -> None:
    time = Time()
    node = ScriptedNode(always=429)
    async with pool_of(node, bounds=ONE_ROUND) as pool:
        rests: list[float] = []
        for _ in range(4):
            with pytest.raises(NoEndpoint):
                await pool.call(*CALL)
            rests.append(await time.move_until(lambda: pool.report()[0].out is None))
        assert [round(one) for one in rests] == [1, 2, 4, 8]
        assert breaker(pool) == "closed"


async def test_a_call_waits_for_a_node_that_rests_within_its_time() -> None:
    time = Time()
    node = ScriptedNode(faults=deque([429]), retry_after="3")
    async with pool_of(node) as pool:
        with pytest.raises(NoEndpoint, match="it asks for fewer requests"):
            await pool.call(*CALL, timeout_s=2.0)
        calling = asyncio.create_task(pool.call(*CALL, timeout_s=10.0))
        assert await time.move_until(calling.done) == pytest.approx(3.0, abs=0.3)
        assert calling.result()["by"] == "n1"


async def test_the_rate_of_a_node_holds_and_calls_wait_for_it() -> None:
    time = Time()
    node = ScriptedNode(rate_per_s=10.0, burst=5.0)
    async with pool_of(node, bounds=PoolBounds(timeout_s=60)) as pool:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        calling = [asyncio.create_task(pool.call(*CALL)) for _ in range(55)]
        await time.move_until(lambda: all(one.done() for one in calling), step_s=0.02)
        took_s = clock() - began_s
        assert all(one.result()["by"] == "n1" for one in calling)
        assert took_s >= 5.0, "50 beyond the burst at 10 a second"
        assert took_s < 8.0
        assert pool.counters.waits_for_rate_total > 0


async def test_a_used_up_rate_sends_calls_to_the_other_node_without_waiting() -> None:
    first, second = ScriptedNode(rate_per_s=0.001, burst=2.0), ScriptedNode()
    async with pool_of(first, second) as pool:
        for _ in range(10):
            await pool.call(*CALL)
        assert len(first.asked) <= 2
        assert len(first.asked) + len(second.asked) == 10
        assert pool.counters.waits_for_rate_total == 0


async def test_a_hedge_wins_over_a_slow_node_whose_request_is_given_up() -> None:
    time = Time()
    slow, fast = ScriptedNode(always="hang"), ScriptedNode()
    async with pool_of(slow, fast) as pool:
        calling = asyncio.create_task(pool.call(*CALL))
        await slow.waiting.wait()
        took_s = await time.move_until(calling.done)
        assert calling.result()["by"] == "n2"
        assert took_s == pytest.approx(0.5, abs=0.15), "the wait of a node whose speed is unknown"
        assert (pool.counters.hedges_total, pool.counters.hedges_won_total) == (1, 1)
        await settle()
        assert pool.tasks == 0
        assert pool.report()[0].outcomes == {"lost": 1}
        assert breaker(pool) == "closed"
        # It lost, so it is known to be slow: the next call goes to the other at once.
        assert (await pool.call(*CALL))["by"] == "n2"
        assert len(slow.asked) == 1


async def test_a_hedge_comes_after_what_the_node_usually_takes() -> None:
    time = Time()
    node, other = ScriptedNode(), ScriptedNode()
    async with pool_of(node, other) as pool:
        pool._endpoints[1].latency.observe(1.0)  # so that the other one is the first choice
        for _ in range(12):
            await pool.call(*CALL)
        node.always = "hang"
        calling = asyncio.create_task(pool.call(*CALL))
        await node.waiting.wait()
        assert await time.move_until(calling.done, 0.01) <= 0.3, "not the half second of a node that is unknown"


async def test_a_node_that_lost_a_race_has_lost_the_good_name_it_had() -> None:
    time = Time()
    node, other = ScriptedNode(), ScriptedNode()
    async with pool_of(node, other, bounds=PoolBounds(hedge_least_s=5.0, hedge_most_s=5.0, attempt_s=9.0)) as pool:
        pool._endpoints[1].latency.observe(1.0)  # so that the other one is the first choice
        for _ in range(12):
            await pool.call(*CALL)
        node.always = "hang"
        calling = asyncio.create_task(pool.call(*CALL, timeout_s=30.0))
        await node.waiting.wait()
        await time.move_until(calling.done)
        asked = len(node.asked)
        assert (await pool.call(*CALL))["by"] == "n2"
        assert len(node.asked) == asked, "the next call does not begin with it"


async def test_hedges_are_a_share_of_the_calls() -> None:
    time = Time()
    slow = ScriptedNode(always="hang", name="slow")
    fast = ScriptedNode(name="fast", always="hang")
    bounds = PoolBounds(hedge_burst=3.0, hedge_share=0.1, hedge_most_s=0.5, timeout_s=1.0)
    async with pool_of(slow, fast, bounds=bounds) as pool:
        for _ in range(30):
            calling = asyncio.create_task(pool.call(*CALL))
            await time.move_until(calling.done)
            assert isinstance(calling.exception(), DeadlineExceeded)
        assert 3 <= pool.counters.hedges_total <= 6
        assert pool.counters.hedges_withheld_total >= 20


async def test_sending_is_not_hedged() -> None:
    time = Time()
    slow, fast = ScriptedNode(always="hang"), ScriptedNode()
    async with pool_of(slow, fast) as pool:
        calling = asyncio.create_task(pool.call("sendTransaction", ["AQID"], timeout_s=4.0))
        await slow.waiting.wait()
        for _ in range(18):
            time.move(0.1)
            await settle()
        assert fast.asked == [], "a read would have been hedged after half a second"
        # Half of the time is the other node's, now that the first did not answer.
        await time.move_until(calling.done)
        assert calling.result()["by"] == "n2"


async def test_a_node_that_is_behind_is_asked_last_and_used_when_it_is_the_last() -> None:
    time = Time()
    behind, best = ScriptedNode(slot=900), ScriptedNode(slot=1000)
    async with pool_of(behind, best) as pool:
        await pool.look_at_nodes()
        reports = pool.report()
        assert [(one.slot, one.lag_slots, one.stale) for one in reports] == [(900, 100, True), (1000, 0, False)]
        for _ in range(5):
            assert (await pool.call(*CALL))["by"] == "n2"
        best.always = 500
        assert (await pool.call(*CALL))["by"] == "n1"
        assert pool.counters.stale_asked_total == 1
        best.always, behind.slot = None, 980
        await pool.look_at_nodes()
        assert not pool.report()[0].stale
        # What was seen long ago, of a node that is gone, makes nobody stale.
        behind.slot, best.slot = 1000, 5000
        await pool.look_at_nodes()
        assert pool.report()[0].stale
        best.always = "drop"
        time.move(20)
        await pool.look_at_nodes()
        assert not pool.report()[0].stale


async def test_a_node_that_falls_silent_stays_as_far_behind_as_it_was_seen() -> None:
    time = Time()
    silent, other = ScriptedNode(slot=900), ScriptedNode(slot=1000)
    async with pool_of(silent, other) as pool:
        await pool.look_at_nodes()
        silent.always = 429
        time.move(20)
        await pool.look_at_nodes()
        assert pool.report()[0].stale
        assert (await pool.look_everywhere(*CALL)).missing == {"n1": "it is 100 slots behind"}


@pytest.mark.parametrize("said", [True, -1, 2**63, "1000", 1.5, None, {"slot": 1}])
async def test_a_slot_that_is_none_is_a_fault_of_the_node(said: object) -> None:
    node = ScriptedNode(results={PROBE: said})
    node._result = lambda call: {"jsonrpc": "2.0", "id": call["id"], "result": said}  # type: ignore[method-assign]
    async with pool_of(node) as pool:
        await pool.look_at_nodes()
        assert pool.report()[0].slot is None
        assert pool.report()[0].outcomes == {"malformed": 1}


async def test_the_watch_goes_on_through_every_fault_and_brings_a_node_back() -> None:
    time = Time()
    bad: list[object] = [500, "drop", b"<html>", 429, "wrong id", {"code": -32005, "message": "behind"}]
    node, other = ScriptedNode(faults=deque(bad)), ScriptedNode()  # type: ignore[arg-type]
    async with pool_of(node, other, watch=True) as pool:
        await time.move_until(lambda: breaker(pool) == "open")
        await time.move_until(lambda: not node.faults and breaker(pool) == "closed")
        assert pool.report()[0].slot == 1000
        assert pool.counters.faults_total == 0
        node.slot = 1234
        await time.move_until(lambda: pool.report()[0].slot == 1234)


async def test_the_watch_outlives_a_fault_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    node = ScriptedNode()
    async with pool_of(node, watch=True) as pool:
        await time.move_until(lambda: pool.report()[0].slot == 1000)
        assert pool._health is not None
        compare, pool._health._compare = pool._health._compare, lambda: 1 / 0  # type: ignore[method-assign,assignment]
        await time.move_until(lambda: pool.counters.faults_total >= 2)
        pool._health._compare = compare  # type: ignore[method-assign]
        node.slot = 1001
        await time.move_until(lambda: pool.report()[0].slot == 1001)
        assert "ZeroDivisionError" in caplog.text


async def test_a_kept_connection_that_the_node_closed_is_no_fault() -> None:
    node = ScriptedNode()
    async with pool_of(node, bounds=ONE_ROUND) as pool:
        await pool.call(*CALL)
        node.faults.append("drop")
        assert (await pool.call(*CALL))["by"] == "n1"
        assert pool.report()[0].outcomes == {"ok": 2}
