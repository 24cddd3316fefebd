"""Tagged IRC text to seals by `twzrd replay --jobs 2`: all laws, whole process, output written."""

from typing import Final

from infra.bench import inputs
from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median
from infra.bench.rows.replaying import replay_rounds
from infra.bench.table import Line, figure

NAME: Final = "irc"
WORK: Final = "tagged IRC text to seals, --jobs 2"
TARGET: Final = "500 k lines/s"
LINES: Final = 1_000_000


def measure(bench: Bench) -> list[Line]:
    """1M lines, whole command."""
    runs = replay_rounds(bench, inputs.irc_lines(bench, LINES), jobs=2)
    if any(one.value("lines") != LINES or one.value("malformed") for one in runs):
        raise ContenderFailed(f"replay did not read {LINES} good lines: {runs[0].output}")
    rates = sorted(LINES / one.wall_s for one in runs)
    rate = median(rates)
    return [
        Line(
            WORK,
            figure(rate, "lines/s"),
            figure(5e5, "lines/s"),
            rate >= 5e5,
            spread=f"{figure(rates[0], '').strip()} .. {figure(rates[-1], '').strip()}",
            note=f"{runs[0].value('seals'):.0f} seals, {inputs.irc_lines(bench, LINES).stat().st_size / 1e6:.0f} MB",
        )
    ]
