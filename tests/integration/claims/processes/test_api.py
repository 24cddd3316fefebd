"""`twzrd serve` killed while it reserves, and two of them asked at once: what a viewer asked for is reserved and paid
once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claim_api.web_database import WebDatabase
from infra.databases import role_dsn
from tests.claims_parts import DOMAIN
from tests.integration.claims.processes.world import Processes, free_port, processes
from tests.signed_in import SignedIn, sessions_on, sign_in

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]
VIEWER = 7
ALL = {"allocations": "all", "fee": "server"}


@dataclass
class Site:
    """One viewer before the web processes."""

    all_: Processes
    session: aiohttp.ClientSession
    signed_in: SignedIn

    async def serve(self, *flags: object, key: str = "serve") -> int:
        """Another web process; its port."""
        port = free_port()
        self.all_.environment["TWZRD_API_PORT"] = str(port)
        await self.all_.start("serve", *flags, key=key)
        return port

    async def claim(self, port: int) -> tuple[int, Any]:
        """Status and answer of one request for all there is; 0 where there is no answer."""
        with contextlib.suppress(aiohttp.ClientError):
            url = f"http://127.0.0.1:{port}/v1/claims"
            async with self.session.post(url, json=ALL, headers=self.signed_in.changing) as response:
                return response.status, await response.json()
        return 0, None

    async def paid_once(self) -> None:
        """One claim of all there is, and it is confirmed."""
        rows = await self.all_.world.owner.fetch("select claim_id, amount_base_units from claims.claims")
        assert len(rows) == 1
        await self.all_.until_state(rows[0]["claim_id"], "confirmed")
        await self.all_.verdict()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with processes(tmp_path) as all_, aiohttp.ClientSession() as session:
        key = all_.home / "keys" / "session"
        key.write_text("05" * 32)
        key.chmod(0o600)
        all_.environment |= {"TWZRD_TWITCH_CLIENT_ID": "id", "TWZRD_TWITCH_CLIENT_SECRET": "secret"}
        await all_.world.hours(VIEWER, count=3)
        await all_.world.bind(VIEWER)
        database = WebDatabase(role_dsn(all_.dsn, "twzrd_web"))
        await database.open()
        signed_in = await sign_in(sessions_on(database, f"http://{DOMAIN}"), database, VIEWER, f"n{VIEWER}")
        await database.close()
        yield Site(all_, session, signed_in)


@pytest.mark.parametrize(("at", "again"), [("RESERVING", 201), ("RESERVED", 409)])
async def test_a_web_process_that_dies_while_it_reserves(site: Site, at: str, again: int) -> None:
    assert (await site.claim(await site.serve("--at", at)))[0] == 0
    await site.all_.died("serve")
    status, _ = await site.claim(await site.serve())
    assert status == again
    await site.paid_once()


async def test_sixty_four_requests_to_two_web_processes(site: Site) -> None:
    ports = [await site.serve(), await site.serve("--clock-s", 3600, key="serve2")]
    found = await asyncio.gather(*(site.claim(ports[place % 2]) for place in range(64)))
    statuses = Counter(status for status, _ in found)
    print(dict(statuses))
    assert statuses[201] == 1 and not set(statuses) - {201, 409, 429}
    await site.paid_once()
