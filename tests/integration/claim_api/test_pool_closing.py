"""A pool is ended: who gives a connection back just then is waited for, who still asks is not."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from claim_api.pool_closing import GRACE_S, close_pool

pytestmark = pytest.mark.postgres


async def test_a_connection_that_is_being_given_back_leaves_no_error_behind(pg_dsn: str) -> None:
    unasked: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unasked.append(context))
    for _ in range(20):
        pool = await asyncpg.create_pool(pg_dsn, min_size=0, max_size=1)
        given_out = asyncio.Event()

        async def ask(pool: Any = pool, given_out: asyncio.Event = given_out) -> None:
            async with pool.acquire():
                given_out.set()
            raise AssertionError("it was to be cancelled while it gave back")

        asking = asyncio.create_task(ask())
        await given_out.wait()
        await asyncio.sleep(0)  # it has begun to give back
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await close_pool(pool)
    await asyncio.sleep(0)
    assert not unasked


async def test_a_question_that_takes_long_is_not_waited_for(pg_dsn: str) -> None:
    pool = await asyncpg.create_pool(pg_dsn, min_size=0, max_size=1)
    connection = await pool.acquire()
    asking = asyncio.create_task(connection.execute("select pg_sleep(60)"))
    await asyncio.sleep(0)
    start_s = time.monotonic()
    await close_pool(pool)
    assert time.monotonic() - start_s < GRACE_S + 5
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await asking
