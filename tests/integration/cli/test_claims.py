"""`twzrd sign`, `pay` and `claims` as processes: a claim from its reservation to the reconciliation, a signer that is
killed, a freeze, and what each says when it cannot start."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from streams.chain import keyfile
from tests.claims_parts import DOMAIN
from tests.claims_world import ClaimsWorld, claims_world
from tests.integration.cli.conftest import Twzrd

pytestmark = pytest.mark.postgres
PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def pg_template(migrated_template: str) -> str:
    """Each test's database is migrated."""
    return migrated_template


@pytest.fixture
async def world(pg_dsn: str, tmp_path: Path) -> AsyncIterator[ClaimsWorld]:
    async with claims_world(pg_dsn, tmp_path) as made:
        keys = tmp_path / "home" / "keys"
        assert keyfile.write_new(keys / "mint-authority.json", made.authority)
        assert keyfile.write_new(keys / "fee-payer.json", made.fee_payer)
        yield made


@pytest.fixture
def environment(world: ClaimsWorld) -> dict[str, str]:
    return {
        "TWZRD_DATABASE_URL": world.dsn,
        "TWZRD_RPC_URLS": world.localnet.url,
        "TWZRD_MINT": str(world.mint),
        "TWZRD_PUBLIC_URL": f"http://{DOMAIN}",
    }


@contextmanager
def running(tmp_path: Path, environment: dict[str, str], command: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`twzrd sign`, `pay` or `up` beside the test; asked to stop at the end, unless the test has ended it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    arguments = [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), command, *more]
    said = tmp_path / f"{command}.log"
    with said.open("ab") as log:
        process = subprocess.Popen(arguments, env={**clean, **environment}, stdout=log, stderr=log)
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in said.read_text(), said.read_text()


def _look_for(path: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until_s, f"{path} was never made"
        time.sleep(0.02)


async def until_there(path: Path) -> None:
    """Another process has made its socket."""
    await asyncio.to_thread(_look_for, path)


async def until_state(world: ClaimsWorld, claim_id: int, state: str) -> None:
    """Slots pass until the claim is in that state: woken by the payer's own notices."""
    noticed = asyncio.Event()
    connection: Any = await asyncpg.connect(world.dsn)
    await connection.add_listener("twzrd_claim_states", lambda *_: noticed.set())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await world.state(claim_id) != state:
                world.slots(2)
                noticed.clear()
                try:
                    async with asyncio.timeout(0.3):
                        await noticed.wait()
                except TimeoutError:
                    continue
    finally:
        await connection.close()


async def test_processes_pay_a_claim_over_a_signer_that_is_killed(
    world: ClaimsWorld, environment: dict[str, str], tmp_path: Path, twzrd: Twzrd
) -> None:
    run = tmp_path / "home" / "run"
    first = await world.viewer_with_claim(7)
    with running(tmp_path, environment, "sign") as signer:
        await until_there(run / "signer.sock")
        assert (run.stat().st_mode & 0o777, (run / "signer.sock").stat().st_mode & 0o777) == (0o700, 0o600)
        with running(tmp_path, environment, "pay"):
            await until_state(world, first.claim_id, "confirmed")
            signer.kill()
            signer.wait()
            await world.hours(8, first=3)
            await world.bind(8)
            second = await world.reserve(8)
            with running(tmp_path, environment, "sign"):
                await until_state(world, second.claim_id, "confirmed")
    assert world.paid(7) == world.paid(8) == first.amount_base_units

    async def command(*arguments: object, code: int = 0) -> Any:
        return await asyncio.to_thread(lambda: twzrd("claims", *arguments, code=code, **environment))

    assert (await command("reconcile", "--json")).out == ""
    rows = [json.loads(line) for line in (await command("list", "--json")).out.splitlines()]
    assert [(row["claim_id"], row["state"]) for row in rows] == [
        (second.claim_id, "confirmed"),
        (first.claim_id, "confirmed"),
    ]
    shown = (await command("show", first.claim_id, "--json")).json
    assert [line["action"] for line in shown["audit"]][-1] == "confirm claim"
    assert "attempts" in (await command("show", first.claim_id)).out
    differing = await command("reconcile", "--starting-supply", 5, "--json", code=1)
    assert "a starting supply of 5" in differing.json["what"]


async def test_the_payer_waits_for_a_signer_that_is_starting(
    world: ClaimsWorld, environment: dict[str, str], tmp_path: Path
) -> None:
    claim = await world.viewer_with_claim(7)
    with running(tmp_path, environment, "pay") as payer, running(tmp_path, environment, "sign"):
        await until_state(world, claim.claim_id, "confirmed")
        assert payer.poll() is None


async def test_up_pays_claims_beside_the_rest(world: ClaimsWorld, environment: dict[str, str], tmp_path: Path) -> None:
    claim = await world.viewer_with_claim(7)
    owner = await asyncpg.connect(world.dsn)
    await owner.execute("delete from projection_positions")  # they are of the world's own log, which `up` does not have
    await owner.close()
    with running(tmp_path, environment, "up", "--port", "0"):
        await until_state(world, claim.claim_id, "confirmed")
    assert world.paid(7) == claim.amount_base_units
    assert "exit code" not in (tmp_path / "up.log").read_text()  # no part fell and was started again


async def test_the_operator_switches(
    world: ClaimsWorld, environment: dict[str, str], tmp_path: Path, twzrd: Twzrd
) -> None:
    def command(*arguments: object, code: int = 0) -> Any:
        return twzrd("claims", *arguments, code=code, **environment)

    def commands() -> None:
        command("freeze", "a leak")
        command("cap", 12_000)
        shown = command("cap", "--json").json
        assert (shown["frozen"], shown["frozen_because"], shown["daily_cap_base_units"]) == (True, "a leak", "12000")
        command("unfreeze")
        command("cap", "--none")
        assert command("cap", "--json").json["daily_cap_base_units"] is None
        assert "no claim 99" in command("show", 99, code=1).err
        assert "only one that is held, or waits for its viewer" in command("retry", claim.claim_id, code=1).err
        assert command("reclaim", "--after-s", 0, "--json").json == {"markers_gone": 0, "markers_asked_back": 0}

    claim = await world.viewer_with_claim(7)
    await asyncio.to_thread(commands)


async def test_the_operator_says_how_long_a_change_of_wallet_waits(
    world: ClaimsWorld, environment: dict[str, str], twzrd: Twzrd
) -> None:
    def command(*arguments: object, code: int = 0) -> Any:
        return twzrd("claims", "wallet-wait", *arguments, code=code, **environment)

    def commands() -> None:
        assert command("--json").json == {"change_wait_s": 86_400}
        assert command(172_800, "--json").json == {"change_wait_s": 172_800}
        for out_of_range in (2_592_001, -1):
            assert "0<=x<=2592000" in command("--", out_of_range, code=2).err

    await asyncio.to_thread(commands)
    noted = await world.owner.fetch("select actor, detail::text from claims.audit_log where action = 'set wallet wait'")
    assert [(row["actor"], json.loads(row["detail"])) for row in noted] == [
        ("operator", {"change_wait_s": 172_800, "before_s": 86_400})
    ], "to look is no change"
    await world.bind(7)
    await world.bind(7)
    waits = await world.owner.fetchval(
        "select extract(epoch from max(effective_at) - max(bound_at))::int from claims.user_wallets"
    )
    assert waits == 172_800


async def test_what_cannot_start_says_why(
    world: ClaimsWorld, environment: dict[str, str], tmp_path: Path, twzrd: Twzrd
) -> None:
    def commands() -> None:
        assert "TWZRD_MINT" in twzrd("sign", code=1, **{**environment, "TWZRD_MINT": ""}).err
        assert "nobody answers" in twzrd("pay", code=1, **environment).err
        as_owner = {**environment, "TWZRD_SIGNER_DATABASE_URL": world.dsn}
        assert "may do more than it should" in twzrd("sign", code=1, **as_owner).err
        same_key = {**environment, "TWZRD_FEE_PAYER_FILE": str(tmp_path / "home" / "keys" / "mint-authority.json")}
        assert "one key" in twzrd("sign", code=1, **same_key).err
        (tmp_path / "home" / "keys" / "mint-authority.json").chmod(0o640)
        assert "open to others" in twzrd("sign", code=1, **environment).err

    await asyncio.to_thread(commands)


async def test_a_lost_marker_secret_is_not_made_anew(
    world: ClaimsWorld, environment: dict[str, str], tmp_path: Path, twzrd: Twzrd
) -> None:
    claim = await world.viewer_with_claim(7)
    await world.payer().until_confirmed(claim)  # signed with the tests' own secret

    def commands() -> None:
        assert "marker" in twzrd("sign", code=1, **environment).err
        secret = tmp_path / "home" / "keys" / "marker"
        assert not secret.exists()
        secret.write_text("ab" * 32)
        secret.chmod(0o600)
        assert "restore it from a backup" in twzrd("sign", code=1, **environment).err

    await asyncio.to_thread(commands)
