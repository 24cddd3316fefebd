"""The simple fold that every engine can do: NDJSON -> 1,200 tables -> blake3 roots, cold, whole process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.bench import inputs
from infra.bench.bench import Bench
from infra.bench.racing import PYTHON, ROOT, ContenderFailed, Ran, median, module, race, run
from infra.bench.table import Line, figure

NAME: Final = "simple"
WORK: Final = "simple fold of NDJSON, cold"
TARGET: Final = "10 x Bytewax; 2.5 x polars, DuckDB; 1.2 x the best tuned"
EVENTS: Final = 1_000_000
DIGEST: Final = "d6e4e1baffdd7d0a"


def measure(bench: Bench) -> list[Line]:
    """Everybody on the same file; all must print the same digest."""
    events = inputs.simple_events(bench)
    theirs, tuned = bench.shared / "bench", ROOT / "infra/bench/peers"
    contenders: dict[str, Sequence[str | Path]] = {
        "ours": module("infra.bench.simple_fold", events, bench.native),
        "Bytewax": [PYTHON, "-B", theirs / "peer_bytewax.py", events],
        "polars": [PYTHON, "-B", theirs / "peer_polars.py", events],
        "DuckDB": [PYTHON, "-B", theirs / "peer_duckdb.py", events],
        "DuckDB, tuned": [PYTHON, tuned / "tuned_duckdb.py", events],
        "polars, tuned": [PYTHON, tuned / "tuned_polars.py", events],
    }
    run(contenders["ours"])  # compiles the hash lanes where they are not kept yet; the file is in memory for all
    found = race(contenders, bench.rounds)
    for name, runs in found.items():
        for one in runs:
            if one.text("digest") != DIGEST:
                raise ContenderFailed(f"{name} came to digest {one.text('digest')}, not {DIGEST}")
    ours = _rate(found["ours"])
    best = max(("DuckDB, tuned", "polars, tuned"), key=lambda name: _rate(found[name]))
    other = min(("DuckDB, tuned", "polars, tuned"), key=lambda name: _rate(found[name]))
    wanted = {"Bytewax": 10.0, "polars": 2.5, "DuckDB": 2.5, best: 1.2}
    spread = sorted(EVENTS / one.wall_s for one in found["ours"])
    lines = []
    for name, least in wanted.items():
        theirs_rate = _rate(found[name])
        lines.append(
            Line(
                f"{WORK}, beside {name}",
                figure(ours, "events/s"),
                f"{least:g} x",
                ours >= least * theirs_rate,
                peer=figure(theirs_rate, "events/s"),
                ratio=f"{ours / theirs_rate:.2f}",
                spread=f"{figure(spread[0], '').strip()} .. {figure(spread[-1], '').strip()}",
                note=f"the other tuned peer, {other}: {figure(_rate(found[other]), 'events/s')}"
                if name == best
                else "",
            )
        )
    return lines


def _rate(runs: list[Ran]) -> float:
    return EVENTS / median([one.wall_s for one in runs])
