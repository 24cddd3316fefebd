"""Whoever was told to end ends: what fails on the way out of a cancelled step is no reason to begin it again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streams.log.postgres.connections import Connections, Counters

Run = Callable[[Connections, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]


def use(connections: Connections, step: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
    return connections.use("reading", step)


def transact(connections: Connections, step: Callable[[Any], Awaitable[Any]]) -> Awaitable[Any]:
    return connections.transact("writing", step)


@pytest.mark.postgres
@pytest.mark.parametrize("run", [use, transact])
async def test_a_cancelled_step_whose_clean_up_times_out_is_not_begun_again(pg_dsn: str, run: Run) -> None:
    connections = Connections(pg_dsn, Counters(), max_size=1, max_stall_ms=10_000)
    await connections.open()
    began = 0
    waiting = asyncio.Event()

    async def step(connection: Any) -> Any:
        nonlocal began
        began += 1
        waiting.set()
        try:
            await connection.execute("select pg_sleep(60)")
        except asyncio.CancelledError:
            raise TimeoutError("the rollback was not answered") from None

    task = asyncio.ensure_future(run(connections, step))
    await waiting.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=30)
    assert done and task.cancelled() and began == 1
    await connections.close()
