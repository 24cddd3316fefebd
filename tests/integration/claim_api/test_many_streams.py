"""Many clients of one stream, from different places and with different filters, over lost database connections."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import asyncpg

from claim_api.config import Bounds
from tests.hours import CHANNEL, HOUR_S, T0_S, sealed_hour, viewers_of
from tests.integration.claim_api.test_stream import stream

CLIENTS = 120
OTHER = "twitch:id:7"


async def test_each_of_many_clients_hears_of_each_seal_once_and_in_order(serve: Any, world: Any, pg_dsn: str) -> None:
    async def say(first: int, count: int) -> None:
        await world.apply(
            *(
                sealed_hour(viewers_of(1), epoch_start_s=T0_S + hour * HOUR_S, channel=channel)
                for hour in range(first, first + count)
                for channel in (CHANNEL, OTHER)
            )
        )

    await say(0, 10)
    ready, last_id = asyncio.Barrier(CLIENTS + 1), 60

    async def follow(api: Any, number: int) -> None:
        after, channel = number % 21, (None, CHANNEL, OTHER)[number % 3]
        query = "?" if channel is None else f"?channel={channel}&"
        found, end, waited = [after], last_id - (channel == CHANNEL), False
        while found[-1] < end:
            # One that reads from the database is cut when that goes, and comes again.
            with contextlib.suppress(EOFError):
                async with stream(api, f"{query}after={found[-1]}") as reader:
                    if not waited:
                        waited = True
                        await ready.wait()
                    while found[-1] < end:
                        seal_id, seal = await reader.event()
                        assert channel in (None, seal["channel"])
                        found.append(seal_id)
        assert found[1:] == [one for one in range(after + 1, last_id + 1) if _wanted(one, channel)]

    async with (
        serve(refresh_ms=20, bounds=Bounds(stream_kept_seals=8)) as api,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        api.session = session
        clients = [asyncio.create_task(follow(api, number)) for number in range(CLIENTS)]
        await ready.wait()
        admin = await asyncpg.connect(pg_dsn)
        for first in range(10, 30, 5):
            await say(first, 5)
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'twzrd api'"
            )
        await admin.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*clients)


def _wanted(seal_id: int, channel: str | None) -> bool:
    """Of two channels that are said in turn the first has the odd numbers."""
    return channel is None or (channel == CHANNEL) == (seal_id % 2 == 1)
