"""What every node is asked: nothing is left out of the count, and nobody who is behind or out counts as an answer."""

import asyncio
import base64

from streams.chain.rpc.config import PoolBounds
from tests.scripted_rpc import ScriptedNode, Time, pool_of

SIGNATURE = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"


async def test_a_transaction_goes_to_every_node_without_preflight_and_retries() -> None:
    nodes = [ScriptedNode(results={"sendTransaction": SIGNATURE}) for _ in range(3)]
    nodes[2].slot = 1
    async with pool_of(*nodes) as pool:
        await pool.look_at_nodes()
        outcomes = await pool.send_everywhere(b"\x01\x02\x03" * 400)
        assert [(one.name, one.signature) for one in outcomes] == [(f"n{n}", SIGNATURE) for n in (1, 2, 3)]
        for node in nodes:
            text, config = node.params("sendTransaction")
            assert base64.b64decode(text) == b"\x01\x02\x03" * 400
            assert config == {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}


async def test_each_node_has_its_own_outcome() -> None:
    time = Time()
    good = ScriptedNode(results={"sendTransaction": SIGNATURE})
    refuses = ScriptedNode(results={"sendTransaction": {"code": -32003, "message": "bad signature"}})
    broken, hangs = ScriptedNode(always=500), ScriptedNode(always="hang")
    behind, odd = ScriptedNode(always={"code": -32005, "message": "behind"}), ScriptedNode()
    async with pool_of(good, refuses, broken, hangs, behind, odd) as pool:
        sending = asyncio.create_task(pool.send_everywhere(b"\x01", timeout_s=2.0))
        await hangs.waiting.wait()
        await time.move_until(sending.done)
        outcomes = {one.name: one for one in sending.result()}
        assert outcomes["n1"].signature == SIGNATURE
        assert outcomes["n2"].error is not None and outcomes["n2"].error.code == -32003
        assert outcomes["n3"].missing == "it answers that it is broken (500)"
        assert outcomes["n4"].missing == "no answer within 2 s"
        assert outcomes["n5"].error is not None and outcomes["n5"].error.code == -32005
        assert outcomes["n6"].missing == "its result has not the shape of the method's"
        assert pool.tasks == 0


async def test_a_look_says_how_many_nodes_answered_and_why_the_others_did_not() -> None:
    found_nothing = ScriptedNode(results={"getTransaction": None})
    found = ScriptedNode(results={"getTransaction": {"slot": 7}})
    behind, broken = ScriptedNode(slot=10, results={"getTransaction": None}), ScriptedNode(probes_too=False, always=500)
    no_history = ScriptedNode(results={"getTransaction": {"code": -32011, "message": "no history"}})
    async with pool_of(found_nothing, found, behind, broken, no_history) as pool:
        await pool.look_at_nodes()
        look = await pool.look_everywhere("getTransaction", ["sig"])
        assert look.answers == {"n1": None, "n2": {"slot": 7}}
        assert look.missing == {
            "n3": "it is 990 slots behind",
            "n4": "it answers that it is broken (500)",
            "n5": "the node answers -32011: no history",
        }
        assert (look.answered, look.nodes) == (2, 5)
        assert behind.methods() == []


async def test_with_nobody_there_a_look_has_no_answer_and_does_not_raise() -> None:
    nodes = [ScriptedNode(always="drop"), ScriptedNode(always=429)]
    async with pool_of(*nodes, bounds=PoolBounds(breaker_failures=1)) as pool:
        await pool.look_at_nodes()
        look = await pool.look_everywhere("getTransaction", ["sig"], timeout_s=0.5)
        assert (look.answered, look.nodes) == (0, 2)
        assert "its breaker is open" in look.missing["n1"]
        assert "it asked to be left alone" in look.missing["n2"]
        outcomes = await pool.send_everywhere(b"\x01", timeout_s=0.5)
        assert [one.signature for one in outcomes] == [None, None]
        assert "its breaker is open" in str(outcomes[0].missing)


async def test_a_look_waits_for_a_nodes_rate_within_its_time() -> None:
    time = Time()
    node = ScriptedNode(rate_per_s=1.0, burst=1.0)
    async with pool_of(node) as pool:
        await pool.call("getBalance", ["a"])
        looking = asyncio.create_task(pool.look_everywhere("getBalance", ["a"]))
        assert await time.move_until(looking.done) > 0.5
        assert looking.result().answered == 1
