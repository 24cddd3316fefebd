"""The outbound on the real log: neither kill -9 of the collector nor of the server makes a record overtake another, or
loses one that was on disk."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.postgres import EmbeddedPostgres
from streams.log.port import CHAT_EVENTS
from streams.log.postgres import PostgresLog
from tests.integration.matrix.servers import postmaster
from tests.integration.streams.collect.live.sending import CHANNELS

SESSIONS = 6
ENDLESS = 10**9
LAST = 2_000

pytestmark = pytest.mark.postgres


async def _progress(process: asyncio.subprocess.Process) -> AsyncIterator[int]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield int(line)


async def _session(dsn: str, folder: Path, session: int, count: int) -> asyncio.subprocess.Process:
    module = "tests.integration.streams.collect.live.sending"
    arguments = (dsn, str(folder), str(session), str(count))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )


async def test_kills_of_collector_and_server_lose_nothing_that_was_on_disk_and_change_no_order(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    server = EmbeddedPostgres(tmp_path / "pg", durable=False)
    try:
        dsn = await asyncio.to_thread(server.start)
        kills = postmaster(server)
        safe = {}
        for session in range(SESSIONS):
            process = await _session(dsn, tmp_path / "spool", session, ENDLESS)
            restarting: asyncio.Task[None] | None = None
            steps = 0
            until = chance.randrange(30, 120)
            async for safe_now in _progress(process):
                safe[session] = safe_now
                steps += 1
                if steps == until // 2 and session % 2:
                    restarting = asyncio.create_task(kills.kill_and_restart())
                if steps >= until:
                    break
            process.kill()
            await process.wait()
            if restarting is not None:
                await restarting
        process = await _session(dsn, tmp_path / "spool", SESSIONS, LAST)
        async for safe_now in _progress(process):
            safe[SESSIONS] = safe_now
        assert await process.wait() == 0
        found = await _numbers(dsn)
    finally:
        await asyncio.to_thread(server.destroy)
    for session, at_least in safe.items():
        there = sum(len(found.get((session, channel), ())) for channel in range(CHANNELS))
        assert there >= at_least, session
        for channel in range(CHANNELS):
            numbers = found.get((session, channel), [])
            assert numbers == list(range(len(numbers))), (session, channel)
    assert sum(len(found[SESSIONS, channel]) for channel in range(CHANNELS)) == LAST
    assert not list((tmp_path / "spool").glob("*.spool"))


async def _numbers(dsn: str) -> dict[tuple[int, int], list[int]]:
    """Of each session and channel the numbers in the order in which they first came."""
    log = PostgresLog(dsn, partitions=2)
    await log.open()
    found: dict[tuple[int, int], dict[int, None]] = {}
    for partition in range(2):
        start, end = await log.span(CHAT_EVENTS, partition)
        while start < end:
            records = await log.read(CHAT_EVENTS, partition, start)
            for record in records:
                session, channel, number, _ = record.value.split(b"|")
                found.setdefault((int(session), int(channel)), {}).setdefault(int(number))
            start = records[-1].offset + 1
    await log.close()
    return {key: list(numbers) for key, numbers in found.items()}
