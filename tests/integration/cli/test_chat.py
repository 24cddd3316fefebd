"""`twzrd simulate` and `twzrd twitch-sim` as a person runs them."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.twitch_sim import read_ledger
from tests.integration.cli.conftest import Twzrd
from tests.irc_client import IrcClient


def test_simulate_writes_the_same_bytes_for_the_same_arguments_to_a_file_and_to_standard_output(
    twzrd: Twzrd, tmp_path: Path
) -> None:
    arguments = ("simulate", "--channels", 3, "--rate", 50, "--seed", 9, "--seconds", 60)
    counts = twzrd(*arguments, "--out", tmp_path / "a", "--json").json
    data = (tmp_path / "a").read_bytes()
    assert counts == {"lines": data.count(b"\n")}
    assert hashlib.sha256(twzrd(*arguments).out.encode()).digest() == hashlib.sha256(data).digest()
    assert not parse_irc_chunk(data).dead
    few = twzrd(*arguments, "--lines", 5).out
    assert data.startswith(few.encode())
    assert few.count("\n") == 5


def test_simulate_paces_by_the_clock(twzrd: Twzrd) -> None:
    began = time.monotonic()
    twzrd("simulate", "--rate", 100, "--seconds", 20, "--speed", 10)
    assert time.monotonic() - began > 1.5


@pytest.mark.postgres
def test_simulate_puts_envelopes_onto_the_log(twzrd: Twzrd) -> None:
    counts = twzrd("simulate", "--channels", 2, "--seconds", 60, "--into-log", "--json").json
    assert counts["events"] > 0
    records = [json.loads(line) for line in twzrd("log", "cat", "chat.events").out.splitlines()]
    assert len(records) == counts["envelopes"]


def test_simulate_refuses_what_does_not_go_together(twzrd: Twzrd, tmp_path: Path) -> None:
    assert "--into-log" in twzrd("simulate", "--into-log", "--out", tmp_path / "x", code=2).err
    assert "'soon' is no moment" in twzrd("simulate", "--start", "soon", code=2).err


async def test_twitch_sim_serves_a_file_until_its_end_and_keeps_a_ledger(twzrd: Twzrd, tmp_path: Path) -> None:
    chat, ledger, ca = tmp_path / "chat.irc", tmp_path / "ledger", tmp_path / "ca.pem"
    twzrd("simulate", "--channels", 3, "--rate", 100, "--seconds", 30, "--out", chat)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), "twitch-sim", str(chat), "--port", "0",
        "--speed", "0", "--wait-joins", "3", "--once", "--keep-times", "--ca-out", str(ca), "--ledger", str(ledger),
        "--json", stdout=subprocess.PIPE, env=clean,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        facts = json.loads(await process.stdout.readline())
        host, _, port = facts["address"].rpartition(":")
        client = await IrcClient.connect((host, int(port)), ca.read_bytes())
        await client.login()
        client.send("JOIN #ember,#pixel,#nova")
        heard = [line for line in await client.rest() if b" PRIVMSG " in line]
        told = json.loads(await process.stdout.readline())
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    lines = chat.read_bytes().splitlines()
    assert heard == [line for line in lines if b" PRIVMSG " in line]
    assert told["lines"] == len(lines)
    rows = list(read_ledger(ledger))
    assert len(rows) == told["rows"] == parse_irc_chunk(chat.read_bytes()).counts["events"]
    assert all(row.flushed for row in rows)


def test_twitch_sim_names_a_fault_that_it_does_not_know(twzrd: Twzrd) -> None:
    assert "fault 'boo/3' cannot be read" in twzrd("twitch-sim", "--port", 0, "--faults", "boo/3", code=1).err
