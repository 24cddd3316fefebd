"""Projections: sealed epochs of the log to all read models that are made of seals."""

import asyncio
from typing import Final

from infra.bench import inputs, servers
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median, module, run
from infra.bench.sealed import seal_into
from infra.bench.table import Line, figure

NAME: Final = "projections"
WORK: Final = "projections, seals to all read models"
TARGET: Final = "200 k participants/s"


def measure(bench: Bench) -> list[Line]:
    """1M events as 1,200 seals; each round projects into a fresh copy of the database, durably."""
    records = inputs.live_log(bench, 1_000_000, channels=50)
    runs = []
    with servers.postgres(bench, "projections-row") as dsn:
        seal_into(bench, asyncio.run(servers.fresh_database(dsn, "sealed")), records)
        for number in range(bench.rounds):
            copy = asyncio.run(servers.fresh_database(dsn, f"round{number}", "sealed"))
            runs.append(run(module("infra.bench.work.project", copy, bench.native)))
    if len({one.value("participants") for one in runs}) != 1:
        raise ContenderFailed(f"rounds differ: {[one.output for one in runs]}")
    rates = sorted(one.value("participants") / one.value("taken_s") for one in runs)
    rate = median(rates)
    return [
        Line(
            WORK,
            figure(rate, "participants/s"),
            figure(2e5, "participants/s"),
            rate >= 2e5,
            spread=f"{figure(rates[0], '').strip()} .. {figure(rates[-1], '').strip()}",
            note=f"{runs[0].value('participants'):.0f} participants of {runs[0].value('epochs'):.0f} epochs",
        )
    ]
