"""The pool's metrics: each is documented, and each documented one is there."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from claim_api.rpc_methods import METHOD_COSTS
from streams.chain.rpc.metrics import PREFIX, PoolMetrics
from tests.conftest import PROJECT
from tests.scripted_rpc import ScriptedNode, pool_of

CHAPTER = Path(PROJECT, "docs", "rpc.md").read_text()


async def test_the_chapter_lists_the_metrics_that_there_are() -> None:
    async with pool_of(ScriptedNode()) as pool:
        await pool.look_at_nodes()
        registry = CollectorRegistry()
        registry.register(PoolMetrics(pool))
        text = generate_latest(registry).decode()
    there = set(re.findall(rf"^({PREFIX}\w+)", text, re.MULTILINE))
    said = set(re.findall(rf"^\| ({PREFIX}\w+) \|", CHAPTER, re.MULTILINE))
    assert said == there
    assert 'twzrd_rpc_requests_total{endpoint="n1",outcome="ok"} 1.0' in text
    assert 'twzrd_rpc_slot{endpoint="n1"} 1000.0' in text


def test_the_chapter_lists_the_methods_that_are_passed_on() -> None:
    said = dict(re.findall(r"`(\w+)` (\d+)", CHAPTER))
    assert {method: int(cost) for method, cost in said.items()} == dict(METHOD_COSTS)
