"""Memory and steadiness: replay of 10M lines under 1 GiB, at the rate of 1M."""

from typing import Final

from infra.bench import inputs
from infra.bench.bench import Bench
from infra.bench.racing import median
from infra.bench.rows.replaying import replay_once
from infra.bench.table import Line, figure

NAME: Final = "memory"
WORK: Final = "replay of 10M events"
TARGET: Final = "under 1 GiB; rate within 10 % of 1M's"
SMALL: Final = 1_000_000
LARGE: Final = 10_000_000


def measure(bench: Bench) -> list[Line]:
    """The large file once, between two runs of the small one: the large run is long, and its own median."""
    small, large = inputs.irc_lines(bench, SMALL), inputs.irc_lines(bench, LARGE)
    before = replay_once(bench, small, jobs=2)
    long = replay_once(bench, large, jobs=2, memory=True)
    after = [replay_once(bench, small, jobs=2) for _ in range(bench.rounds - 1)]
    small_rate = SMALL / median([one.wall_s for one in (before, *after)])
    rate = LARGE / long.wall_s
    peak = long.peak_bytes / (1 << 20)
    return [
        Line(
            f"{WORK}, memory of all its processes",
            f"{peak:.0f} MiB",
            "under 1,024 MiB",
            0 < peak < 1024,
            note=f"peak of the sum of proportional set sizes, sampled; {long.value('seals'):.0f} seals",
        ),
        Line(
            f"{WORK}, rate",
            figure(rate, "lines/s"),
            "at least 0.9 of 1M's",
            rate >= 0.9 * small_rate,
            peer=figure(small_rate, "lines/s") + " (1M)",
            ratio=f"{rate / small_rate:.2f}",
        ),
    ]
