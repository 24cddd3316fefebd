"""`python -m infra.bench [names…] [--json FILE] [--rounds 3] [--write-docs]`: the whole table, or some rows."""

import argparse
import importlib
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from infra.bench.bench import Bench, cache_folder, shared_folder
from infra.bench.racing import ROOT
from infra.bench.table import Line, Table, all_met, failed, machine

ROWS: Final = (
    "simple", "archive", "irc", "parser", "collect", "collect_many", "postgres", "kafka", "merkle", "projections",
    "proof", "eligibility", "memory", "claims",
)  # fmt: skip
DOCS: Final = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """0 where every target was met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows to run, of {', '.join(ROWS)}; none: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON too")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (at least 3)")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/benchmarks.md")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in ROWS]:
        parser.error(f"no row {unknown[0]!r}; use {', '.join(ROWS)}")
    if given.rounds < 3:
        parser.error("--rounds must be at least 3: figures are medians")
    described = machine()
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="twzrd-bench-") as scratch:
        bench = Bench(given.rounds, cache_folder(), Path(scratch), shared_folder())
        for name in given.names or ROWS:
            lines += _measure(bench, name)
    command = shlex.join(["make", "bench"] + ([f"ARGS={shlex.join(sys.argv[1:])}"] if sys.argv[1:] else []))
    table = Table(command, given.rounds, lines, machine=described)
    print(table.as_text())
    if given.json:
        given.json.write_text(table.as_json())
    if given.write_docs:
        _write_docs(table)
    return 0 if all_met(lines) else 1


def _measure(bench: Bench, name: str) -> list[Line]:
    """A row's lines; one that cannot run is a missed line that says why, and the others go on."""
    bench.say(f"row {name}")
    work, target = name, ""
    try:
        row = importlib.import_module(f"infra.bench.rows.{name}")
        work, target = row.WORK, row.TARGET
        lines: list[Line] = row.measure(bench)
    except Exception as error:  # noqa: BLE001 - whatever it was, the table says it
        bench.say(f"row {name} DID NOT RUN: {type(error).__name__}: {error}")
        return [failed(work, target, error)]
    for line in lines:
        bench.say(
            f"  {line.work}: {line.ours} {line.peer and f'(peer {line.peer}, x{line.ratio})'} target {line.target}"
        )
    return lines


def _write_docs(table: Table) -> None:
    head = DOCS.read_text().partition("<!-- table -->")[0] if DOCS.exists() else "# Benchmarks\n\n"
    DOCS.write_text(head + "<!-- table -->\n\n" + table.as_markdown())


if __name__ == "__main__":
    sys.exit(main())
