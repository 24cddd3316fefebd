"""Merkle tree over 500,000 leaf preimages of 96 bytes: the fast extra, our loop, and the plain loop beside."""

from typing import Final

from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, median, module, race
from infra.bench.table import Line, figure

NAME: Final = "merkle"
WORK: Final = "Merkle tree, 500,000 leaves of 96 B"
TARGET: Final = "5 M leaves/s fast, 600 k without"


def measure(bench: Bench) -> list[Line]:
    """Each way in its own process, its own median of several trees; then the median over the rounds."""
    ways = ("fast", "loop", "plain", "fast-refs")
    found = race({way: module("infra.bench.work.merkle", way, bench.native) for way in ways}, bench.rounds)
    roots = {one.text("root") for way in ways for one in found[way]}
    if len(roots) != 1:
        raise ContenderFailed(f"the ways came to different roots: {sorted(roots)}")
    rate = {way: median([one.value("leaves_s") for one in found[way]]) for way in ways}
    plain = figure(rate["plain"], "leaves/s") + " (a loop over PyPI blake3)"
    lines = []
    for way, label, least in (("fast", "fast extra", 5e6), ("loop", "without", 6e5)):
        values = sorted(one.value("leaves_s") for one in found[way])
        lines.append(
            Line(
                f"{WORK}, {label}",
                figure(rate[way], "leaves/s"),
                figure(least, "leaves/s"),
                rate[way] >= least,
                peer=plain,
                ratio=f"{rate[way] / rate['plain']:.2f}",
                spread=f"{figure(values[0], '').strip()} .. {figure(values[-1], '').strip()}",
            )
        )
    lines.append(
        Line(
            f"{WORK}, refs made and sorted too, fast extra",
            figure(rate["fast-refs"], "leaves/s"),
            "",
            None,
            note="identities to refs (three hashes each), sorted, leaves packed, tree: all that sealing hashes",
        )
    )
    return lines
