"""The pipeline by its commands on the embedded Postgres: what README tells a newcomer to do."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from tests.integration.cli.conftest import Ran, Twzrd

KINDS_DIGEST = "acf714ce1a9e07f7d3343dec531bb6dd98a52d0503651a4df3a89fdafe57b826"
PATIENCE_S = 90.0

pytestmark = pytest.mark.postgres


def seal_digest(exported: Ran) -> str:
    hashes = sorted(bytes.fromhex(json.loads(line)["seal_hash"]) for line in exported.out.splitlines())
    return blake3(b"".join(hashes)).hexdigest()


@contextmanager
def running(tmp_path: Path, environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A `twzrd` that goes on beside the test; asked to stop at the end, and expected to."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    command = [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), *arguments]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(command, env={**clean, **environment}, stdout=log, stderr=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (tmp_path / "up.log").read_text()
        finally:
            process.kill()
            process.wait()


def test_load_work_project_export_prove_archive_replay(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path
) -> None:
    environment = {
        "TWZRD_PEPPER_FILE": str(pepper_file),
        "TWZRD_POLICY_FILE": str(shared_dir / "vectors/seals/policy.json"),
        "TWZRD_PARTITIONS": "2",
    }
    with running(tmp_path, environment, "up", "--port", "0"):
        loaded = twzrd("load", shared_dir / "vectors/seals/kinds_400.irc", "--json", **environment).json
        assert (loaded["lines"], loaded["events"]) == (408, 391)
        deadline = time.monotonic() + PATIENCE_S
        while len((exported := twzrd("export", "seals", **environment)).out.splitlines()) < 7:
            assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
    assert seal_digest(exported) == KINDS_DIGEST

    seal = json.loads(exported.out.splitlines()[0])
    person = json.loads(twzrd("export", "participants", "--channel", seal["login"], **environment).out.splitlines()[0])
    bundle = twzrd(
        "proof", "--channel", seal["login"], "--epoch", seal["epoch_start_s"], "--viewer", person["login"],
        **environment,
    ).out  # fmt: skip
    (tmp_path / "bundle.json").write_text(bundle)
    assert twzrd("verify", tmp_path / "bundle.json", "--json").json["viewer"] == person["identity"]

    for form in ("csv", "parquet"):
        twzrd("export", "leaves", "--format", form, "--out", tmp_path / f"leaves.{form}", **environment)
        assert (tmp_path / f"leaves.{form}").stat().st_size > 1000
    assert "sealed" in twzrd("status", **environment).out
    assert "not yet" not in twzrd("db", "status", **environment).out
    for name in ("sealed", "names", "live"):
        twzrd("project", "--rebuild", name, **environment)
    assert seal_digest(twzrd("export", "seals", **environment)) == KINDS_DIGEST

    twzrd("archive", "--once", **environment)
    replayed = twzrd("replay", tmp_path / "home" / "archive", "--out", tmp_path / "again", **environment)
    assert replayed.last_line == f"digest {KINDS_DIGEST}"
    against = twzrd(
        "verify", tmp_path / "again", "--against", tmp_path / "home" / "archive", "--pepper-file", pepper_file,
        "--json", **environment,
    )  # fmt: skip
    assert against.json["compared"] == 7

    twzrd("reseal", "--channel", seal["login"], "--epoch", seal["epoch_start_s"], **environment)
    cat = twzrd("log", "cat", "chat.events", "--limit", "1000", **environment).out.splitlines()
    assert sum(json.loads(line)["type"] == "reseal" for line in cat) == 1


def test_a_proof_from_a_database_without_seals_or_that_is_away_is_one_clear_error(twzrd: Twzrd) -> None:
    asked = ("proof", "--channel", "chan", "--epoch", "0", "--viewer", "ann")
    assert "bring it up to date: twzrd db migrate" in twzrd(*asked, code=1).err
    twzrd("db", "migrate")
    assert "no seal of channel 'chan'" in twzrd(*asked, code=1).err
    away = {"TWZRD_DATABASE_URL": "postgresql://127.0.0.1:1/away"}
    assert "the database cannot be reached" in twzrd(*asked, code=1, **away).err


def claimed(ran: Ran, viewers: set[str]) -> tuple[str, str]:
    """What the demo's own claim came to: wallet and signature. Each start claims for another viewer."""
    said = re.search(
        r"paid on the local chain: (\w+) signed in,\n +bound wallet (\w{32,44}),\n"
        r" +claimed ([\d.]+) CHAT of (\d+) hours\n"
        r" +signature (\w{80,90})\n +balance read from the chain: ([\d.]+) CHAT\n +from click to confirmed: ([\d.]+) s",
        ran.out,
    )
    assert said is not None, ran.out
    viewer, wallet, display, hours, signature, balance, took_s = said.groups()
    assert balance == display and float(display) > 0 and int(hours) > 0
    assert 0 < float(took_s) < 60
    assert viewer not in viewers
    viewers.add(viewer)
    return wallet, signature


def test_demo_once_and_again(twzrd: Twzrd, tmp_path: Path) -> None:
    arguments = ("demo", "--once", "--channels", "3", "--hours", "1", "--port", "0")
    first = twzrd(*arguments)
    assert "proof fetched over HTTP and checked" in first.out
    assert "3 epochs sealed" in first.out
    viewers = set[str]()
    paid = [claimed(first, viewers)]
    again = twzrd(*arguments)
    assert "3 epochs sealed" in again.out
    paid.append(claimed(again, viewers))
    assert "exit code" not in first.err + again.err  # no part fell and was started again
    assert len(twzrd("export", "seals").out.splitlines()) >= 6
    assert twzrd("verify", tmp_path / "home" / "demo-proof.json", "--json").json["good"] is True
    ledger = [json.loads(line) for line in twzrd("claims", "list", "--json").out.splitlines()]
    assert [(one["wallet"], one["signature"], one["state"]) for one in ledger] == [
        (wallet, signature, "confirmed") for wallet, signature in reversed(paid)
    ]


def test_the_demo_never_pays_real_claims(twzrd: Twzrd) -> None:
    for name, value in (("TWZRD_MINT", "So11111111111111111111111111111111111111112"), ("TWZRD_CLUSTER", "mainnet")):
        assert "unset TWZRD_MINT and TWZRD_CLUSTER" in twzrd("demo", "--once", code=1, **{name: value}).err
