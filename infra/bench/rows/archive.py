"""The simple fold's million events from our archive to seals, all laws kept, by `twzrd replay --jobs 2`."""

from typing import Final

from infra.bench import inputs
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median
from infra.bench.rows.replaying import replay_rounds
from infra.bench.rows.simple import EVENTS
from infra.bench.table import Line, figure

NAME: Final = "archive"
WORK: Final = "archive to seals, all laws"
TARGET: Final = "1 M events/s"


def measure(bench: Bench) -> list[Line]:
    """1M events of 50 channels over 24 h: 1,200 seals."""
    runs = replay_rounds(bench, inputs.archive(bench), jobs=2)
    if any(one.value("events") != EVENTS or one.value("seals") != 1200 for one in runs):
        raise ContenderFailed(f"replay did not fold {EVENTS} events into 1,200 seals: {runs[0].output}")
    rates = sorted(EVENTS / one.wall_s for one in runs)
    rate = median(rates)
    spread = f"{figure(rates[0], '').strip()} .. {figure(rates[-1], '').strip()}"
    return [Line(WORK, figure(rate, "events/s"), figure(1e6, "events/s"), rate >= 1e6, spread=spread)]
