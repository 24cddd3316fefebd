"""`twzrd replay` as a contender; used by several rows."""

import re
import tempfile
from pathlib import Path

from infra.bench.bench import Bench
from infra.bench.racing import ROOT, Ran, run

PEPPER_HEX = "11" * 32


def replay_rounds(
    bench: Bench, source: Path, *, jobs: int, rounds: int | None = None, memory: bool = False
) -> list[Ran]:
    """The whole command a few times, each into a fresh folder; the digest is the same each time or it is an error."""
    return [replay_once(bench, source, jobs=jobs, memory=memory) for _ in range(rounds or bench.rounds)]


def replay_once(bench: Bench, source: Path, *, jobs: int, memory: bool = False) -> Ran:
    """One run; its --json object is put as name=value words into the output. The folder it wrote stays until the bench
    ends: where files were deleted a moment ago, some file systems take 50 times as long to make new ones."""
    pepper = bench.scratch / "pepper"
    if not pepper.exists():
        pepper.write_text(PEPPER_HEX)
        pepper.chmod(0o600)
    out = Path(tempfile.mkdtemp(prefix="replayed-", dir=bench.scratch))
    home = bench.cache / "home"
    command: list[str | Path] = [ROOT / ".venv/bin/twzrd", "--home", home, "replay", source, "--out", out]
    # As anybody's second start: from modules that are compiled, as those of the peers were when they were installed.
    environ = {"PYTHONDONTWRITEBYTECODE": ""}
    ran = run([*command, "--pepper-file", pepper, "--jobs", str(jobs), "--json"], environ=environ, memory=memory)
    words = " ".join(f"{name}={value}" for name, value in re.findall(r'"(\w+)":\s*"?([\w.]+)"?', ran.output))
    return Ran(ran.wall_s, ran.cpu_s, words, ran.peak_bytes)
