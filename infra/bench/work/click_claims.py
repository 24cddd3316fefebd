"""Viewers who press Claim: URL DSN SESSIONS FIRST COUNT WAY. WAY `each:<per second>`: clicks at random times, each
followed by its long poll until it is confirmed; `all:<connections>`: as fast as they are answered, then waited for."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from claim_api.ledger.moves import STATES_NOTIFY
from infra.bench.work.prepare_claims import QUERIES
from streams.log.named_sql import load

PATIENCE_S: Final = 120.0
LOOK_EVERY_S: Final = 1.0


def browsers() -> aiohttp.ClientSession:
    """Of many viewers: each request brings its own cookie."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0))


async def click(session: aiohttp.ClientSession, url: str, line: str) -> tuple[int, dict[str, str]]:
    """The claim's id, and the headers of its viewer."""
    cookie, csrf = line.split()
    headers = {"cookie": cookie, "x-csrf-token": csrf, "origin": url, "sec-fetch-site": "same-origin"}
    async with session.post(f"{url}/v1/claims", json={"allocations": "all"}, headers=headers) as answer:
        made: dict[str, Any] = await answer.json()
        if answer.status != 201:
            raise SystemExit(f"POST /v1/claims answered {answer.status}: {made}")
        return made["claim_id"], headers


async def each(url: str, lines: list[str], per_s: float) -> None:
    """From the click to `confirmed` seen."""
    took_s: list[float] = []

    async def one(line: str) -> None:
        began_s, state = time.perf_counter(), "reserved"
        claim_id, headers = await click(session, url, line)
        while state != "confirmed":
            query = {"seen": state, "wait_ms": "10000"}
            async with session.get(f"{url}/v1/claims/{claim_id}", params=query, headers=headers) as answer:
                state = (await answer.json())["state"]
        took_s.append(time.perf_counter() - began_s)

    chance = random.Random(1)
    async with browsers() as session, asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as clicks:
        for line in lines:
            clicks.create_task(one(line))
            await asyncio.sleep(chance.expovariate(per_s))
    took_s.sort()
    p50, p95 = (took_s[min(len(took_s) - 1, int(share * len(took_s)))] for share in (0.5, 0.95))
    print(f"RESULT p50={p50:.4f} p95={p95:.4f} longest={took_s[-1]:.4f}")


async def everybody(url: str, dsn: str, lines: list[str], connections: int) -> None:
    """Sustained: all of them, and the time from the first reservation to the last confirmation."""
    sql, left = load(QUERIES), iter(lines)
    watching = await asyncpg.connect(dsn)
    before = await watching.fetchval(sql["newest_claim"])
    had = await watching.fetchval(sql["confirmed"])

    async def clicking(of: Iterator[str]) -> None:
        for line in of:
            await click(session, url, line)

    began_s = time.perf_counter()
    async with browsers() as session, asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as clicks:
        for _ in range(connections):
            clicks.create_task(clicking(left))
    clicked_s = time.perf_counter() - began_s
    changed = asyncio.Event()
    # Not before: a notice to one listener more would cost what is measured.
    await watching.add_listener(STATES_NOTIFY, lambda *_: changed.set())
    async with asyncio.timeout(PATIENCE_S):
        while await watching.fetchval(sql["confirmed"]) - had < len(lines):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await changed.wait()
            changed.clear()
            await asyncio.sleep(LOOK_EVERY_S)  # a look at all claims costs it, too
    row = await watching.fetchrow(sql["span"], before)
    await watching.close()
    print(f"RESULT claims={row['claims']} taken_s={row['taken_s']:.3f} clicked_s={clicked_s:.3f}")


def main() -> None:
    """See the module."""
    url, dsn, sessions, first, count, way = sys.argv[1:]
    lines = Path(sessions).read_text().splitlines()[int(first) :][: int(count)]
    name, _, number = way.partition(":")
    asyncio.run(each(url, lines, float(number)) if name == "each" else everybody(url, dsn, lines, int(number)))


if __name__ == "__main__":
    main()
