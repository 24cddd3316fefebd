"""What was measured, as lines: work, our figure, the peer's in the same run, ratio, target, met or not."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. Figures as text with their unit; met None where the issue names no target.

    spread: least and greatest of the rounds, for a reader who wonders how quiet the machine was.
    """

    work: str
    ours: str
    target: str
    met: bool | None
    peer: str = ""
    ratio: str = ""
    spread: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One run of the benchmark."""

    command: str
    rounds: int
    lines: list[Line]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    machine: str = ""

    def as_json(self) -> str:
        """One object, for --json."""
        body: dict[str, Any] = {**asdict(self), "started": self.started.isoformat(timespec="seconds")}
        return json.dumps(body, indent=1)

    def as_markdown(self) -> str:
        """The table for docs/benchmarks.md."""
        rows = [("work", "ours", "peer, same run", "ratio", "target", "met")]
        rows += [(x.work, x.ours, x.peer, x.ratio, x.target, _met(x)) for x in self.lines]
        head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        notes = [f"- {x.work}: {x.note}" for x in self.lines if x.note]
        return "\n".join([self.header(), "", head, "| --- | --- | --- | --- | --- | --- |", *body, "", *notes]) + "\n"

    def as_text(self) -> str:
        """The table for a terminal."""
        rows = [("work", "ours", "(min .. max)", "peer, same run", "ratio", "target", "met")]
        rows += [(x.work, x.ours, x.spread, x.peer, x.ratio, x.target, _met(x)) for x in self.lines]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        out = [self.header(), ""]
        for row in rows:
            out.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        out += ["", *(f"  {x.work}: {x.note}" for x in self.lines if x.note)]
        missed = [x for x in self.lines if x.met is False]
        asked = [x for x in self.lines if x.met is not None]
        out += ["", f"{len(asked) - len(missed)} of {len(asked)} targets met."]
        return "\n".join(out)

    def header(self) -> str:
        """Machine, date, command."""
        return (
            f"{self.machine}; {self.started:%Y-%m-%d %H:%M} UTC; `{self.command}`; "
            f"medians of {self.rounds} rounds, contenders in turns"
        )


def _met(line: Line) -> str:
    return "" if line.met is None else "yes" if line.met else "NO"


def machine() -> str:
    """Processor, cores, memory, system and load, in a line."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"load before {os.getloadavg()[0]:.1f}"
    )


def figure(value: float, unit: str) -> str:
    """1234567.8, "events/s" -> "1.23 M events/s"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return (
                f"{value / size:.3g} {letter} {unit}" if value < 1000 * size else f"{value / size:.0f} {letter} {unit}"
            )
    return f"{value:.3g} {unit}"


def failed(work: str, target: str, error: BaseException) -> Line:
    """A row that could not run; it never counts as met."""
    return Line(work, "DID NOT RUN", target, False, note=f"{type(error).__name__}: {error}")


def all_met(lines: Iterable[Line]) -> bool:
    """Whether every line with a target met it."""
    return all(line.met is not False for line in lines)
