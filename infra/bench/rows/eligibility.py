"""What 2,000 signed-in viewers have earned, over HTTP: wrk with 64 connections on the same cores, the database beside.

Every request is a look into the database: which version of the page is true now; the page itself is kept in memory.
"""

import asyncio
from pathlib import Path
from typing import Final

from infra.bench import servers, wrk
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median, module, run
from infra.bench.table import Line, figure
from infra.bench.work.earned import COOKIE

NAME: Final = "eligibility"
WORK: Final = "GET eligibility, 2,000 signed-in viewers of 36 hours each"
TARGET: Final = "6 k requests/s, p99 under 20 ms"
HOURS, VIEWERS, SIGNED_IN = 36, 20_000, 2_000
CONNECTIONS: Final = 64
SECONDS: Final = 6
WARM_SECONDS, MAX_WARM_RUNS = 2, 30
START_S: Final = 1_760_000_400
SCRIPT: Final = """
local cookies = {}
for line in io.lines("%s") do cookies[#cookies + 1] = {["cookie"] = "%s=" .. line} end
local at = 0
request = function()
  at = at + 1
  local path = %s
  return wrk.format("GET", path, cookies[at %% #cookies + 1])
end
"""
PAGE: Final = ("first page", '"/v1/eligibility"')
ORIGINAL: Final = (
    "the original's question",
    f'"/api/eligibility?channel=channel_00&epoch=" .. ({START_S} + 3600 * (at % {HOURS}))',
)


def measure(bench: Bench) -> list[Line]:
    """Both endpoints in turns, each round against a new server that is warmed first."""
    wrk.check_installed()
    found: dict[str, list[wrk.Measured]] = {name: [] for name, _ in (PAGE, ORIGINAL)}
    with servers.postgres(bench, "eligibility-row") as dsn:
        database = asyncio.run(servers.fresh_database(dsn, "eligibility"))
        key = _secret(bench, "session.key", "22" * 32)
        sizes = (str(HOURS), str(VIEWERS), str(SIGNED_IN))
        cookies = run(module("infra.bench.work.earned", database, *sizes, key)).output.split()
        if len(cookies) != SIGNED_IN:
            raise ContenderFailed(f"{len(cookies)} viewers are signed in, not {SIGNED_IN}")
        listed = bench.scratch / "cookies.txt"
        listed.write_text("\n".join(cookies) + "\n")
        for _ in range(bench.rounds):
            for name, path in (PAGE, ORIGINAL):
                found[name].append(_round(bench, database, key, listed, path))
    lines = []
    for name, runs in found.items():
        rates, slowest_ms = [one.requests_per_s for one in runs], [one.p99_ms for one in runs]
        rate, p99_ms = median(rates), median(slowest_ms)
        lines += [
            Line(
                f"{WORK}: {name}, warm, wrk with {CONNECTIONS} connections",
                figure(rate, "requests/s"),
                figure(6e3, "requests/s"),
                rate >= 6e3,
                spread=f"{figure(min(rates), '').strip()} .. {figure(max(rates), '').strip()}",
            ),
            Line(
                f"{WORK}: {name}, p99",
                f"{p99_ms:.2f} ms",
                "under 20 ms",
                p99_ms < 20,
                spread=f"{min(slowest_ms):.2f} .. {max(slowest_ms):.2f}",
            ),
        ]
    return lines


def _round(bench: Bench, dsn: str, key: Path, cookies: Path, path: str) -> wrk.Measured:
    port, home = wrk.free_port(), bench.scratch / "home-eligibility"
    environ = {
        "TWZRD_DATABASE_URL": dsn,
        "TWZRD_PEPPER_FILE": str(_secret(bench, "pepper", "11" * 32)),
        "TWZRD_SESSION_KEY_FILE": str(key),
        # Nobody signs in here: sessions are there, so Twitch is never asked.
        "TWZRD_TWITCH_CLIENT_ID": "bench",
        "TWZRD_TWITCH_CLIENT_SECRET": "bench-secret",
    }
    with servers.process(bench, ["-m", "infra.cli", "--home", home, "serve", "--port", str(port)], environ):
        base = f"http://127.0.0.1:{port}"
        wrk.until_up(f"{base}/health")
        script = bench.scratch / "eligibility.lua"
        script.write_text(SCRIPT % (cookies, COOKIE, path))
        _warm(base, script)
        return wrk.measure(base, script, connections=CONNECTIONS, seconds=SECONDS)


def _warm(base: str, script: Path) -> None:
    """Until every viewer has asked at least twice: their sessions are known and their pages made."""
    asked = 0.0
    for _ in range(MAX_WARM_RUNS):
        asked += WARM_SECONDS * wrk.measure(base, script, connections=CONNECTIONS, seconds=WARM_SECONDS).requests_per_s
        if asked >= 2 * SIGNED_IN:
            return
    raise ContenderFailed(f"the server has answered {asked:.0f} requests only in {MAX_WARM_RUNS * WARM_SECONDS} s")


def _secret(bench: Bench, name: str, text: str) -> Path:
    path = bench.scratch / name
    if not path.exists():
        path.write_text(text)
        path.chmod(0o600)
    return path
