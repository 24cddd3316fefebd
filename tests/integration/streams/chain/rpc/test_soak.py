"""Thousands of calls through nodes that fail at random: each ends in a right answer or a typed error, and nothing is
left behind. The original's gateway died 567 times in 4 days of less."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from streams.chain.rpc.config import PoolBounds
from streams.chain.rpc.errors import ChainCallError, RpcError
from streams.chain.rpc.pool import RpcPool
from tests.scripted_rpc import BAD_ANSWERS, Fault, ScriptedNode, Time, pool_of, settle

CALLS = 4000
WORKERS = 24
FAULTS: tuple[Fault, ...] = (*BAD_ANSWERS, "hang", "drip", "endless")
TAKEN = {"sendTransaction": "1" * 64}
BOUNDS = PoolBounds(answer_bytes=256 * 1024, timeout_s=20.0)


async def one_call(pool: RpcPool, number: int, chance: random.Random, ended: Counter[str]) -> None:
    asked = [f"wallet{number}"]
    try:
        kind = chance.random()
        if kind < 0.8:
            found = [await pool.call("getBalance", asked)]
        elif kind < 0.9:
            found = await pool.call_many([("getBalance", asked)] * 3)
        elif kind < 0.95:
            found = list((await pool.look_everywhere("getBalance", asked, timeout_s=5.0)).answers.values())
        else:
            await pool.send_everywhere(b"\x01", timeout_s=5.0)
            found = []
    except RpcError as error:
        assert error.code in (-32005, -32004, -32016, -32603, -32601, -32000, -32700), error
        ended["rpc error"] += 1
    except ChainCallError as error:
        ended[type(error).__name__] += 1
        # As a client would, or all calls were spent while the breakers are open; of the loop's time, which is moved.
        await asyncio.sleep(chance.random())
    else:
        for one in found:
            if not isinstance(one, RpcError):
                assert (one["method"], one["params"]) == ("getBalance", asked), "another call's answer"
        ended["right"] += 1


@asynccontextmanager
async def shaken(nodes: list[ScriptedNode], chance: random.Random, time: Time) -> AsyncIterator[None]:
    """While the block runs: nodes are good, fail now and then, or always, in turn and at random; what hangs is let go
    now and then; time goes on."""
    stop = asyncio.Event()
    shares = dict.fromkeys(range(len(nodes)), 0.0)

    def chooser(index: int) -> Callable[[], Fault | None]:
        return lambda: chance.choice(FAULTS) if chance.random() < shares[index] else None

    for index, node in enumerate(nodes):
        node.chosen = chooser(index)

    async def shake() -> None:
        while not stop.is_set():
            for index, node in enumerate(nodes):
                if chance.random() < 0.05:
                    shares[index] = chance.choice((0.0, 0.2, 0.5, 1.0))
                    node.retry_after = chance.choice((None, "1", "30", "soon"))
                    node.slot = 1000 + chance.randrange(200)
                if chance.random() < 0.005:
                    node.release.set()
                    node.release = asyncio.Event()
            time.move(0.02)
            await settle(10)

    shaking = asyncio.create_task(shake())
    try:
        yield
    finally:
        stop.set()
        await shaking
        for node in nodes:
            node.release.set()
            node.chosen = lambda: None


async def soak(pool: RpcPool, calls: int, chance: random.Random) -> Counter[str]:
    ended: Counter[str] = Counter()
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await one_call(pool, number, chance, ended)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
    return ended


@pytest.mark.slow
async def test_every_call_ends_rightly_while_all_nodes_fail_at_random(seed: int) -> None:
    chance, time = random.Random(seed), Time()
    nodes = [ScriptedNode() for _ in range(4)]
    async with pool_of(*nodes, bounds=BOUNDS, watch=True) as pool:
        async with shaken(nodes, chance, time):
            warm = await soak(pool, CALLS // 4, chance)
            gc.collect()
            before = len(gc.get_objects())
            ended = warm + await soak(pool, CALLS - CALLS // 4, chance)
        await settle(200)
        gc.collect()
        assert len(gc.get_objects()) < before * 1.1 + 5000, "something is kept of each call"
        assert sum(ended.values()) == CALLS
        assert pool.counters.faults_total == 0
        assert all(one.in_flight == 0 for one in pool.report()) or pool.tasks > 0
        assert ended["right"] > CALLS / 4, ended
        kinds = {kind for one in pool.report() for kind in one.outcomes}
        assert len(kinds) >= 6, f"too few kinds of fault were met: {kinds}"
        await time.move_until(lambda: all(one.breaker == "closed" for one in pool.report()))
        assert (await pool.call("getBalance", ["after"]))["params"] == ["after"]
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not [task for task in left if "streams/chain" in repr(task)], left


@pytest.mark.slow
async def test_every_call_succeeds_while_one_node_stays_good(seed: int) -> None:
    chance, time = random.Random(seed), Time()
    bad, good = [ScriptedNode() for _ in range(3)], ScriptedNode(results=TAKEN)
    async with pool_of(*bad, good, bounds=BOUNDS, watch=True) as pool:
        async with shaken(bad, chance, time):
            ended = await soak(pool, CALLS // 2, chance)
        assert ended == {"right": CALLS // 2}
        assert pool.report()[3].opened_total == 0


def test_the_pool_works_the_same_on_uvloop() -> None:
    async def run() -> tuple[Any, list[str]]:
        bad, good = ScriptedNode(always="cut"), ScriptedNode(results=TAKEN)
        async with pool_of(bad, good, bounds=PoolBounds(breaker_first_s=600, breaker_last_s=600), watch=True) as pool:
            found = await asyncio.gather(*(pool.call("getBalance", [n]) for n in range(200)))
            assert [one["params"] for one in found] == [[n] for n in range(200)]
            await pool.look_at_nodes()
            return await pool.call("getBalance", ["a"]), [one.breaker for one in pool.report()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, breakers = runner.run(run())
    assert found == {"by": "n2", "method": "getBalance", "params": ["a"]}
    assert breakers == ["open", "closed"]
