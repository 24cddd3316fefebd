"""`twzrd localnet` and `twzrd token`, as processes: a mint is made, shown, handed over; a SIGKILL loses nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.integration.cli.conftest import Twzrd
from tests.localnet_client import PROCESSED, Issuer, client


class Process:
    """A running `twzrd localnet`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
        command = [sys.executable, "-m", "infra.cli", "--home", str(home), "localnet", "--json", "--port", "0"]
        self._process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, env=clean)
        assert self._process.stdout is not None
        self.facts: dict[str, Any] = json.loads(self._process.stdout.readline())

    @property
    def url(self) -> str:
        return str(self.facts["rpc"])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)

    def stop(self) -> dict[str, Any]:
        """Ask it to end; what it counted."""
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0
        counted: dict[str, Any] = json.loads(out)
        return counted


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*arguments: str) -> Process:
            process = Process(tmp_path / "home", *arguments)
            stack.callback(process.kill)
            return process

        yield begin


async def test_a_killed_cluster_keeps_balances_and_statuses(start: Start) -> None:
    first = start("--slot-ms", "20")
    async with client(first.url) as node:
        issuer = await Issuer.make(node)
        claims = [issuer.terms(number) for number in range(20)]
        sent = [(await node.send(await issuer.paying(terms)))["result"] for terms in claims]
    first.kill()
    second = start("--slot-ms", "20")
    assert second.facts["slot"] >= first.facts["slot"]
    assert second.facts["replayed"] == 22
    async with client(second.url) as node:
        found = await node.get("getSignatureStatuses", sent, {"searchTransactionHistory": True})
        assert [one["err"] for one in found["value"]] == [None] * 20
        for terms in claims:
            held = await node.get("getTokenAccountBalance", str(terms.token_account), PROCESSED)
            assert held["value"]["amount"] == "8000000000"
        again = Issuer(node, issuer.payer, issuer.authority, issuer.mint, issuer.marker_lamports)
        refused = (await node.send(await again.paying(claims[0])))["error"]
        assert any("already in use" in line for line in refused["data"]["logs"])
    assert second.stop()["transactions_refused_total"] == 1


async def test_faults_from_outside_only_where_they_were_asked_for(start: Start, tmp_path: Path) -> None:
    for arguments, there in (((), False), (("--faults",), True)):
        process = start("--dir", str(tmp_path / f"faults-{there}"), *arguments)
        async with client(process.url) as node:
            assert ("result" in await node.ask("twzrd_setLag", 1)) == there


def test_a_mint_is_made_shown_and_handed_over(start: Start, twzrd: Twzrd, tmp_path: Path) -> None:
    nodes = {"TWZRD_RPC_URLS": start("--slot-ms", "20").url}
    made = twzrd("token", "create", "--name", "Chat", "--symbol", "CHAT", "--json", **nodes).json
    names = ["fee-payer.json", "mint-authority.json", "mint.json", "marker"]
    assert [Path(path).name for path in made["keys_made"]] == names
    for path in made["keys_made"]:
        assert Path(path).stat().st_mode & 0o777 == 0o600
    public = Path(next(one for one in made["keys_made"] if "fee-payer" in one) + ".pub")
    assert public.read_text() == made["fee_payer"] + "\n" and public.stat().st_mode & 0o777 == 0o644
    again = twzrd("token", "create", **nodes)
    assert "was there already" in again.out and "made " not in again.out
    assert again.last_line == f"export TWZRD_MINT={made['mint']}"
    here = {**nodes, "TWZRD_MINT": made["mint"]}
    shown = twzrd("token", "inspect", "--json", **here).json
    assert shown == {
        "mint": made["mint"],
        "supply_base_units": "0",
        "decimals": 9,
        "mint_authority": made["mint_authority"],
        "freeze_authority": None,
        "name": "Chat",
        "symbol": "CHAT",
        "uri": "",
        "metadata_authority": made["mint_authority"],
        "extensions": ["metadata pointer", "token metadata"],
        "harmful": [],
    }
    assert twzrd("token", "mint-authority", **here).last_line == made["mint_authority"]
    new = Keypair()
    asked = twzrd("token", "mint-authority", "--to", new.pubkey(), stdin=b"n\n", code=130, **here)
    assert "Hand the right to mint" in asked.out
    assert twzrd("token", "mint-authority", **here).last_line == made["mint_authority"]
    twzrd("token", "mint-authority", "--to", new.pubkey(), "--yes", **here)
    assert twzrd("token", "mint-authority", **here).last_line == str(new.pubkey())
    lost = twzrd("token", "mint-authority", "--nobody", "--yes", code=1, **here)
    assert "name its own file with TWZRD_MINT_AUTHORITY_FILE" in lost.err
    own = tmp_path / "new.json"
    own.write_text(new.to_json())
    own.chmod(0o600)
    twzrd("token", "mint-authority", "--nobody", "--yes", TWZRD_MINT_AUTHORITY_FILE=str(own), **here)
    assert twzrd("token", "mint-authority", **here).last_line == "nobody"


def test_what_cannot_be_done_is_told(start: Start, twzrd: Twzrd) -> None:
    nodes = {"TWZRD_RPC_URLS": start().url}
    assert "there is no account" in twzrd("token", "inspect", Keypair().pubkey(), code=1, **nodes).err
    assert "set TWZRD_MINT" in twzrd("token", "inspect", code=2, **nodes).err
    wrong = twzrd("token", "inspect", Keypair().pubkey(), code=1, TWZRD_CLUSTER="devnet", **nodes).err
    assert "is of localnet, and TWZRD_CLUSTER is devnet" in wrong
    secret = "http://127.0.0.1:1/?api-key=secret"
    silent = twzrd("token", "inspect", Keypair().pubkey(), code=1, TWZRD_RPC_URLS=secret).err
    assert "no answer of the first node of TWZRD_RPC_URLS" in silent
    assert "secret" not in silent
    assert "symbol of 11 bytes" in twzrd("token", "create", "--symbol", "ELEVENBYTES", code=1, **nodes).err
