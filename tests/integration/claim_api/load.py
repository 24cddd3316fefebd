"""GET proof under load: one API process, one epoch of 20,000 leaves, wrk with 32 connections asking for random refs.

    python -m tests.integration.claim_api.load [--leaves N] [--seconds S] [--runs N]

Prints one JSON object: requests/s and p99 of each warm run, and the time of cold first proofs (the median over fresh
epochs, which the process has not touched). Needs wrk (Debian: apt-get install wrk).
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
from prometheus_client import CollectorRegistry

from claim_api.config import ApiConfig
from claim_api.server import running
from infra.postgres import EmbeddedPostgres
from projections import schema
from projections.metrics import ProjectionMetrics
from projections.runner import ProjectionRunner, connector
from projections.sealed import SealedProjection
from schemas.bundle import decode
from streams.core.verify import verify_bundle
from tests.hours import CHANNEL, HOUR_S, T0_S, sealed_hour, viewers_of
from tests.seals import SaidLog

CONNECTIONS = 32
COLD_EPOCHS = 9
LUA = """
local refs = {{{refs}}}
local at = 0
request = function()
  at = at + 7919
  return wrk.format("GET", "/v1/epochs/{channel}/{start}/proof?ref=" .. refs[at % #refs + 1])
end
"""


async def fill(dsn: str, leaves: int) -> list[str]:
    """Seals through the projection; returns refs of the first epoch."""
    connection = await asyncpg.connect(dsn)
    await schema.migrate(connection)
    await connection.close()
    log, metrics = SaidLog(1), ProjectionMetrics(CollectorRegistry())
    refs: list[str] = []
    for number in range(COLD_EPOCHS + 1):
        hour = sealed_hour(viewers_of(leaves), epoch_start_s=T0_S + number * HOUR_S)
        refs = refs or [ref.tobytes().hex() for ref in hour.body.refs]
        await log.say(hour)
    await ProjectionRunner(log, SealedProjection(metrics), connector(dsn), metrics).catch_up()
    return refs


async def serve(dsn: str, cache: str) -> None:
    """The API's own process: prints its URL and runs until it is ended."""
    async with running(ApiConfig(dsn=dsn, port=0, fast_cache_dir=Path(cache))) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


async def cold_ms(url: str, refs: list[str]) -> list[float]:
    """First proofs of epochs nobody asked for; the connection and the channel's name are warm."""
    times = []
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/v1/channels/{CHANNEL}/epochs") as response:
            await response.read()
        for number in range(1, COLD_EPOCHS + 1):
            path = f"{url}/v1/epochs/{CHANNEL}/{T0_S + number * HOUR_S}/proof?ref={refs[0]}"
            started = time.perf_counter()
            async with session.get(path) as response:
                body = await response.read()
            times.append((time.perf_counter() - started) * 1000)
            verify_bundle(decode(body))
    return times


def warm(url: str, script: Path, seconds: int, process: psutil.Process) -> dict[str, float]:
    """One run of wrk. cpu_us: the API process' own time for a request, which a busy machine does not change much."""
    before = sum(process.cpu_times()[:2])
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    number, unit = re.findall(r"99%\s+([0-9.]+)(us|ms|s)", text)[0]
    p99_ms = float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
    requests = int(re.findall(r"([0-9]+) requests in", text)[0])
    return {
        "requests_per_s": float(re.findall(r"Requests/sec:\s+([0-9.]+)", text)[0]),
        "p99_ms": p99_ms,
        "cpu_us": round((sum(process.cpu_times()[:2]) - before) / requests * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--serve", nargs=2, metavar=("DSN", "CACHE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        import uvloop

        uvloop.run(serve(*given.serve))
        return
    with tempfile.TemporaryDirectory(prefix="twzrd-load-") as folder:
        print(json.dumps(measure(Path(folder), given)))


def measure(folder: Path, given: Any) -> dict[str, Any]:
    """All figures."""
    postgres = EmbeddedPostgres(folder / "pg", durable=False)
    dsn = postgres.start()
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    try:
        refs = asyncio.run(fill(dsn, given.leaves))
        command = [sys.executable, "-m", __spec__.name, "--serve", dsn, str(cache)]
        api = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert api.stdout is not None
            url = api.stdout.readline().strip()
            cold = asyncio.run(cold_ms(url, refs))
            script = folder / "proof.lua"
            listed = ",".join(f'"{ref}"' for ref in refs)
            script.write_text(LUA.format(refs=listed, channel=CHANNEL, start=T0_S))
            process = psutil.Process(api.pid)
            warm(url, script, 1, process)
            runs = [warm(url, script, given.seconds, process) for _ in range(given.runs)]
        finally:
            api.terminate()
            api.wait(20)
    finally:
        postgres.stop()
    return {
        "leaves": given.leaves,
        "connections": CONNECTIONS,
        "requests_per_s": statistics.median(run["requests_per_s"] for run in runs),
        "p99_ms": statistics.median(run["p99_ms"] for run in runs),
        "cpu_us": statistics.median(run["cpu_us"] for run in runs),
        "cold_ms": round(statistics.median(cold), 2),
        "cold_first_ms": round(cold[0], 2),
        "runs": runs,
    }


if __name__ == "__main__":
    main()
