"""The claim side as it runs: a Postgres server of the test's own, `twzrd localnet`, `sign`, `pay` and `serve`, each a
process that is killed and started again; and a viewer who reserves.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket as sockets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
from solders.keypair import Keypair

from claim_api.chain.rpc import RpcChain
from infra import databases
from infra.databases import role_dsn
from infra.postgres import EmbeddedPostgres
from streams.chain import keyfile
from streams.chain.rpc.config import EndpointConfig, PoolBounds
from streams.chain.rpc.pool import RpcPool
from tests.claims_parts import DOMAIN
from tests.claims_world import ClaimsWorld, make_mint, reconciled

MODULE: Final = "tests.integration.claims.processes.process"
PROJECT: Final = Path(__file__).parents[4]
PATIENCE_S: Final = 60.0
BOUNDS: Final = PoolBounds(breaker_first_s=0.01, breaker_last_s=0.05)


class Processes:
    """All that runs. world: what a viewer and the test itself do; port: of the localnet, the same after a restart."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, dsn: str) -> None:
        self.folder, self.postgres, self.dsn = folder, postgres, dsn
        self.home = folder / "home"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment: dict[str, str] = {}
        self.port = 0
        self.pool: Any = None
        self.world: Any = None
        self._viewers = iter(range(1_000, 100_000))

    async def start(self, name: str, *flags: object, key: str = "") -> subprocess.Popen[bytes]:
        """Returns when it can be asked. key: what it is called here, where two of one kind run."""
        clean = {one: value for one, value in os.environ.items() if not one.startswith("TWZRD_")}
        arguments = [sys.executable, "-m", MODULE, "--home", str(self.home), *map(str, flags), name]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 - so short that no loop waits for it
                arguments,
                cwd=PROJECT,
                env={**clean, **self.environment},
                stdout=subprocess.PIPE if name == "localnet" else log,
                stderr=log,
            )
        self.running[key or name] = process
        if name == "localnet":
            assert process.stdout is not None
            said = await asyncio.to_thread(process.stdout.readline)
            self.port = int(json.loads(said)["rpc"].rpartition(":")[2])
        elif name in ("sign", "pay"):
            socket = self.home / "run" / {"sign": "signer.sock", "pay": "payer.sock"}[name]
            await self.until(lambda: answers(socket), name)
        elif name == "serve":
            port = int(self.environment["TWZRD_API_PORT"])
            await self.until(lambda: listens(port), key or name)
        return process

    async def died(self, name: str) -> None:
        """The SIGKILL fell."""
        process = self.running.pop(name)
        code = await asyncio.to_thread(process.wait, PATIENCE_S)
        assert code == -signal.SIGKILL, f"{name} ended with {code}: {self.said(name)}"

    async def kill(self, name: str) -> None:
        """Now."""
        self.running[name].kill()
        await self.died(name)

    async def until(self, condition: Callable[[], bool], name: str) -> None:
        """Looked at often; a process that ends meanwhile, or a minute, is a failure."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                if name in self.running and self.running[name].poll() is not None:
                    raise AssertionError(f"{name} ended by itself: {self.said(name)}")
                await asyncio.sleep(0.02)

    def said(self, name: str) -> str:
        """Its last words."""
        return (self.folder / f"{name.rstrip('2')}.log").read_text()[-3_000:]

    async def claim(self) -> Any:
        """A new viewer reserves all of one hour."""
        viewer = next(self._viewers)
        await self.world.hours(viewer, first=viewer)
        await self.world.bind(viewer)
        return await self.world.reserve(viewer)

    async def advance(self, slots: int) -> None:
        """Slots pass; nothing where the chain is down."""
        with contextlib.suppress(Exception):
            await self.pool.call("twzrd_advance", [slots])

    async def until_state(self, claim_id: int, state: str, *, slots: int = 1) -> None:
        """Slots pass until the claim is there. The database may be away meanwhile."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    if await self.world.state(claim_id) == state:
                        return
                for name in ("sign", "pay"):
                    if name in self.running:
                        assert self.running[name].poll() is None, f"{name} ended by itself: {self.said(name)}"
                await self.advance(slots)
                await asyncio.sleep(0.03)

    async def passing(self, ended: Any, *, slots: int = 1) -> None:
        """Slots pass until that has come."""
        task = asyncio.ensure_future(ended)
        async with asyncio.timeout(PATIENCE_S):
            while not task.done():
                await self.advance(slots)
                await asyncio.wait({task}, timeout=0.03)
        task.result()

    async def restarted_database(self) -> None:
        """The postmaster again, after its kill."""
        await asyncio.to_thread(self.postgres.start)
        self.world.owner = await asyncpg.connect(self.dsn)

    async def verdict(self) -> None:
        """Every claim is confirmed once, ledger and chain say the same."""
        for _ in range(2):
            await self.advance(200)
        rows = await self.world.owner.fetch("select claim_id, state, held_because from claims.claims")
        assert {row["state"] for row in rows} == {"confirmed"}, rows
        assert await reconciled(self.world) == []
        doubled = await self.world.owner.fetchval(
            "select count(*) from claims.attempts where fate = 'confirmed' group by claim_id having count(*) > 1"
        )
        assert not doubled


def answers(socket: Path) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.closing(sockets.socket(sockets.AF_UNIX)) as one:
        return one.connect_ex(str(socket)) == 0


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.closing(sockets.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """One that nobody listens on."""
    with contextlib.closing(sockets.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.asynccontextmanager
async def processes(folder: Path) -> AsyncIterator[Processes]:
    """Postgres, localnet, signer and payer, with a mint."""
    postgres = EmbeddedPostgres(folder / "pg", durable=False)
    dsn = await asyncio.to_thread(postgres.start)
    made = Processes(folder, postgres, dsn)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, postgres.destroy)
        stack.callback(postgres.stop)
        stack.callback(_end, made)
        owner = await asyncpg.connect(dsn)
        await databases.migrate(dsn)
        await made.start("localnet")
        made.pool = RpcPool(
            [EndpointConfig(url=f"http://127.0.0.1:{made.port}", rate_per_s=1e4, burst=1e4)], bounds=BOUNDS
        )
        await made.pool.start(watch=False)
        stack.push_async_callback(made.pool.close)
        authority, fee_payer, mint_key = Keypair(), Keypair(), Keypair()
        await make_mint(made.pool, fee_payer, authority, mint_key)
        await made.advance(4)
        assert keyfile.write_new(made.home / "keys" / "mint-authority.json", authority)
        assert keyfile.write_new(made.home / "keys" / "fee-payer.json", fee_payer)
        web = await asyncpg.create_pool(role_dsn(dsn, "twzrd_web"), min_size=0, max_size=8)
        stack.callback(web.terminate)
        nowhere: Any = None
        made.world = World(
            dsn=dsn,
            owner=owner,
            web=web,
            payer_pool=nowhere,
            signer_pool=nowhere,
            localnet=nowhere,
            chain=RpcChain(made.pool),
            authority=authority,
            fee_payer=fee_payer,
            mint=mint_key.pubkey(),
            source="mint",
        )
        made.environment = {
            "TWZRD_DATABASE_URL": dsn,
            "TWZRD_RPC_URLS": f"http://127.0.0.1:{made.port}",
            "TWZRD_MINT": str(mint_key.pubkey()),
            "TWZRD_PUBLIC_URL": f"http://{DOMAIN}",
        }
        await made.start("sign")
        await made.start("pay")
        yield made


class World(ClaimsWorld):
    """Its chain is another process."""

    def slots(self, count: int = 1) -> None:
        """They pass by Processes.advance."""


def _end(made: Processes) -> None:
    for process in made.running.values():
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
