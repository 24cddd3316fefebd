"""GET proof over HTTP: an epoch of 20,000 leaves, wrk with 32 and 64 connections on the same cores; the first, cold."""

import asyncio
import json
import random
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.bench import inputs, servers, wrk
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median, module, run
from infra.bench.sealed import seal_into
from infra.bench.table import Line, figure
from infra.bench.work.make_log import START_MS

NAME: Final = "proof"
WORK: Final = "GET proof, epoch of 20,000 leaves"
TARGET: Final = "10 k requests/s, p99 under 10 ms; cold under 15 ms"
LEAVES: Final = 20_000
CONNECTIONS: Final = (32, 64)
SECONDS: Final = 6
ASKED_REFS: Final = 4_000
SCRIPT: Final = """
local refs = {}
for line in io.lines("%s") do refs[#refs + 1] = line end
local at = 0
request = function()
  at = at %% #refs + 1
  return wrk.format("GET", "%s?ref=" .. refs[at])
end
"""


def measure(bench: Bench) -> list[Line]:
    """Each round a new server: its first proof is the cold one, then wrk asks for a different viewer each time."""
    wrk.check_installed()
    records = inputs.live_log(bench, LEAVES, channels=1, hours=1, viewers=LEAVES)
    rounds: list[list[wrk.Measured]] = []
    cold_ms = []
    with servers.postgres(bench, "proof-row") as dsn:
        database = asyncio.run(servers.fresh_database(dsn, "proofs"))
        seal_into(bench, database, records)
        run(module("infra.bench.work.project", database, bench.native))
        refs = run(module("infra.bench.work.some_refs", database)).output.split()
        if len(refs) != LEAVES:
            raise ContenderFailed(f"the epoch has {len(refs)} leaves, not {LEAVES}")
        asked = random.Random(1).sample(refs, ASKED_REFS)
        for _ in range(bench.rounds):
            cold, measured = _round(bench, database, asked)
            cold_ms.append(cold)
            rounds.append(measured)
    return [
        *(
            line
            for connections, runs in zip(CONNECTIONS, zip(*rounds, strict=True), strict=True)
            for line in _warm(connections, runs)
        ),
        Line(
            f"{WORK}, cold",
            f"{median(cold_ms):.1f} ms",
            "under 15 ms",
            median(cold_ms) < 15,
            spread=f"{min(cold_ms):.1f} .. {max(cold_ms):.1f}",
            note="a new server's first proof: looked up, decoded, tree built, answered",
        ),
    ]


def _warm(connections: int, runs: Sequence[wrk.Measured]) -> list[Line]:
    rates, slowest_ms = [one.requests_per_s for one in runs], [one.p99_ms for one in runs]
    rate, p99_ms = median(rates), median(slowest_ms)
    work = f"{WORK}, warm, wrk with {connections} connections"
    return [
        Line(
            work,
            figure(rate, "requests/s"),
            figure(1e4, "requests/s"),
            rate >= 1e4,
            spread=f"{figure(min(rates), '').strip()} .. {figure(max(rates), '').strip()}",
        ),
        Line(
            f"{work}, p99",
            f"{p99_ms:.2f} ms",
            "under 10 ms",
            p99_ms < 10,
            spread=f"{min(slowest_ms):.2f} .. {max(slowest_ms):.2f}",
        ),
    ]


def _round(bench: Bench, dsn: str, refs: list[str]) -> tuple[float, list[wrk.Measured]]:
    """The cold proof's ms, and a run of wrk for each number of connections."""
    port = wrk.free_port()
    home = bench.scratch / "home-proof"
    environ = {"TWZRD_DATABASE_URL": dsn, "TWZRD_PEPPER_FILE": str(_pepper(bench))}
    with servers.process(bench, ["-m", "infra.cli", "--home", home, "serve", "--port", str(port)], environ):
        base = f"http://127.0.0.1:{port}"
        wrk.until_up(f"{base}/health")
        path = f"/v1/epochs/channel_00/{START_MS // 1000}/proof"
        start_s = time.perf_counter()
        with urllib.request.urlopen(f"{base}{path}?ref={refs[0]}", timeout=10) as answer:
            bundle = json.load(answer)
        cold_ms = (time.perf_counter() - start_s) * 1000
        if bundle["kind"] != "presence":
            raise ContenderFailed(f"the first proof is one of {bundle['kind']}")
        listed, script = bench.scratch / "refs.txt", bench.scratch / "proof.lua"
        listed.write_text("\n".join(refs) + "\n")
        script.write_text(SCRIPT % (listed, path))
        measured = [wrk.measure(base, script, connections=number, seconds=SECONDS) for number in CONNECTIONS]
    return cold_ms, measured


def _pepper(bench: Bench) -> Path:
    path = bench.scratch / "pepper"
    if not path.exists():
        path.write_text("11" * 32)
        path.chmod(0o600)
    return path
