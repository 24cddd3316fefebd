"""The Postgres log: durable append and consume side by side, to seals, all laws; no broker."""

import asyncio
from typing import Final

from infra.bench import inputs, servers
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median
from infra.bench.sealed import seal_into
from infra.bench.table import Line, figure

NAME: Final = "postgres"
WORK: Final = "Postgres log: durable append and consume side by side, to seals"
TARGET: Final = "1 M events/s"
EVENTS: Final = 3_000_000


def measure(bench: Bench) -> list[Line]:
    """A worker waits on an empty log; the clock runs from the first append to its last commit."""
    records = inputs.live_log(bench, EVENTS)
    with servers.postgres(bench, "postgres-row") as dsn:
        runs = [
            seal_into(bench, asyncio.run(servers.fresh_database(dsn, f"round{i}")), records)
            for i in range(bench.rounds)
        ]
    for one in runs:
        if one.value("sealed_events") != EVENTS:
            raise ContenderFailed(f"not every event was sealed: {one.output}")
    rates = sorted(EVENTS / one.value("taken_s") for one in runs)
    rate = median(rates)
    return [
        Line(
            WORK,
            figure(rate, "events/s"),
            figure(1e6, "events/s"),
            rate >= 1e6,
            spread=f"{figure(rates[0], '').strip()} .. {figure(rates[-1], '').strip()}",
            note=f"{runs[0].value('seals'):.0f} seals; appending alone took "
            f"{median([one.value('appended_s') for one in runs]):.2f} s of {EVENTS / rate:.2f} s",
        )
    ]
