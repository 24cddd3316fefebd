"""The collector: lines from a TLS socket of another process to envelopes on the log, durable."""

import asyncio
import select
import subprocess
from pathlib import Path
from typing import Final

import trustme

from infra.bench import inputs, servers
from infra.bench.bench import Bench
from infra.bench.racing import ROOT, ContenderFailed, Ran, median, module, run
from infra.bench.table import Line, figure

NAME: Final = "collect"
WORK: Final = "collector: loopback TLS to envelopes on the Postgres log, durable"
TARGET: Final = "100 k lines/s"
LINES: Final = 600_000
START_S: Final = 60.0


def measure(bench: Bench) -> list[Line]:
    """In turns: onto Postgres, into a stub, and reading alone, which is what the sender can do."""
    capture = inputs.irc_lines(bench, 1_000_000)
    authority = trustme.CA()
    certificate = bench.scratch / "server.pem"
    issued = authority.issue_cert("localhost")
    certificate.write_bytes(issued.private_key_pem.bytes() + b"".join(c.bytes() for c in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(bench.scratch / "authority.pem"))
    rates: dict[str, list[float]] = {"postgres": [], "stub": [], "raw": []}
    with servers.postgres(bench, "collect-row") as dsn:
        for round_ in range(bench.rounds):
            for kind, found in rates.items():
                database = asyncio.run(servers.fresh_database(dsn, f"round{round_}")) if kind == "postgres" else ""
                ran = _collect(bench, capture, certificate, [kind, database] if database else [kind])
                if kind != "raw" and (ran.value("events") != LINES or not ran.value("live_ms")):
                    raise ContenderFailed(f"not every line became an event, or nothing was claimed: {ran.output}")
                found.append(ran.value("rate"))
    return [
        _line(
            WORK, rates["postgres"], 100_000, f"reading alone, no parsing: {figure(median(rates['raw']), 'lines/s')}"
        ),
        _line("collector: the same with the log stubbed", rates["stub"], 120_000, ""),
    ]


def _line(work: str, rates: list[float], target: float, note: str) -> Line:
    rate, rates = median(rates), sorted(rates)
    spread = f"{figure(rates[0], '').strip()} .. {figure(rates[-1], '').strip()}"
    return Line(work, figure(rate, "lines/s"), figure(target, "lines/s"), rate >= target, spread=spread, note=note)


def _collect(bench: Bench, capture: Path, certificate: Path, log: list[str]) -> Ran:
    sender = subprocess.Popen(
        module("infra.bench.work.send_lines", capture, str(LINES), certificate),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert sender.stdout is not None
        if not select.select([sender.stdout], [], [], START_S)[0]:
            raise ContenderFailed(f"the sender did not start within {START_S:.0f} s")
        port = sender.stdout.readline().strip().removeprefix("port=")
        authority = bench.scratch / "authority.pem"
        channels = str(inputs.IRC_CHANNELS)
        return run(module("infra.bench.work.collect", port, authority, channels, str(LINES), *log))
    finally:
        sender.terminate()
        sender.wait(20)
