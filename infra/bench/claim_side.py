"""The whole claim side as real processes for a row: Postgres with sealed hours, localnet, signer, payer, API."""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.bench import inputs, servers
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, module, run
from infra.bench.sealed import seal_into
from infra.ports import free_pair, free_port
from infra.twitch_login.state import CLIENT_ID, CLIENT_SECRET

EVENTS_EACH: Final = 3
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ClaimSide:
    """Up and waiting. sessions: a line for each viewer, who has one hour to claim."""

    url: str
    dsn: str
    rpc_url: str
    home: Path
    mint: str
    sessions: Path


@contextlib.contextmanager
def claim_side(bench: Bench, viewers: int) -> Iterator[ClaimSide]:
    """While the block runs."""
    records = inputs.live_log(bench, EVENTS_EACH * viewers, channels=1, hours=1, viewers=viewers)
    home, api, rpc = bench.scratch / "claims-home", free_port("127.0.0.1", 0), free_pair(0)
    url, rpc_url = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{rpc}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.postgres(bench, "claims-row"))
        dsn = asyncio.run(servers.fresh_database(server, "claims"))
        seal_into(bench, dsn, records)
        run(module("infra.bench.work.project", dsn, bench.native))
        sessions = bench.scratch / "sessions.txt"
        run(module("infra.bench.work.prepare_claims", dsn, home / "keys" / "session", url, sessions))
        environ = {
            "TWZRD_DATABASE_URL": dsn,
            "TWZRD_PUBLIC_URL": url,
            "TWZRD_RPC_URLS": rpc_url,
            "TWZRD_TWITCH_CLIENT_ID": CLIENT_ID,
            "TWZRD_TWITCH_CLIENT_SECRET": CLIENT_SECRET,
            "TWZRD_LOG_LEVEL": "warning",
        }
        ours: list[str | Path] = ["-m", "infra.cli", "--home", home]
        stack.enter_context(servers.process(bench, [*ours, "localnet", "--port", str(rpc)]))
        _until_up(f"{rpc_url}/health")
        made = run(module("infra.cli", "--home", home, "token", "create", "--json"), environ=environ)
        mint = json.loads(made.output)["mint"]
        environ["TWZRD_MINT"] = mint
        for command in (["sign"], ["pay"], ["serve", "--port", str(api)]):
            stack.enter_context(servers.process(bench, [*ours, *command], environ))
        _until_up(f"{url}/health")
        _until_there(home / "run" / "payer.sock")
        yield ClaimSide(url, dsn, rpc_url, home, mint, sessions)


def _until_up(url: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline_s:
                raise ContenderFailed(f"{url} did not answer within {PATIENCE_S:.0f} s: {error}") from error
            time.sleep(0.05)


def _until_there(path: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise ContenderFailed(f"{path} was not made within {PATIENCE_S:.0f} s")
        time.sleep(0.05)
