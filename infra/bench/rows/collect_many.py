"""The collector with many channels: what each of them weighs, and how soon the first 90 are joined."""

import contextlib
import json
import select
import subprocess
from collections.abc import Iterator
from typing import Final

from infra.bench.bench import Bench
from infra.bench.racing import ROOT, ContenderFailed, Ran, median, module, run
from infra.bench.table import Line
from streams.collect.live.pacing import JOINS, WINDOW_S

NAME: Final = "collect_many"
WORK: Final = "collector: memory of 1,000 more channels on their connections, chat in all of them"
TARGET: Final = "at most 5 MB"
FEW: Final = 500
MANY: Final = 2_500
RATE: Final = 1_000
"""Lines a second of all channels together, the same for few and many."""
EVENTS: Final = 40_000
"""When it is weighed: what is kept of viewers is then the same, too."""
START: Final = 90
START_TARGET_S: Final = 13.0
READY_S: Final = 60.0


def measure(bench: Bench) -> list[Line]:
    """The same chat to few channels and to many, in turns; and a start at Twitch's pace, once."""
    weights: list[float] = []
    bases: list[float] = []
    for round_ in range(bench.rounds):
        few = _joined(bench, FEW, "unpaced", EVENTS, round_)
        many = _joined(bench, MANY, "unpaced", EVENTS, round_)
        weights.append((many.value("anon_mb") - few.value("anon_mb")) / (MANY - FEW) * 1_000)
        bases.append(few.value("pss_mb"))
    start = _joined(bench, START, "paced", 0, 0)
    least_s = (START - 1) // JOINS * WINDOW_S
    beyond_s = start.value("joined_s") - least_s
    weight = median(weights)
    return [
        Line(
            WORK,
            f"{weight:.1f} MB",
            TARGET,
            weight <= 5.0,
            spread=f"{min(weights):.1f} .. {max(weights):.1f}",
            note=f"{MANY:,} channels beside {FEW}, {RATE:,} lines/s in both, control view and state reports as a real "
            f"collector has them; memory without files; the process weighs {median(bases):.0f} MB "
            f"with {FEW} (proportional set size)",
        ),
        Line(
            f"collector: start to {START} channels joined, beyond the pacing's own {least_s:.0f} s",
            f"{beyond_s:.2f} s",
            f"within {START_TARGET_S:.0f} s",
            beyond_s <= START_TARGET_S,
        ),
    ]


def _joined(bench: Bench, channels: int, pace: str, events: int, round_: int) -> Ran:
    with _twitch(bench, channels, limited=pace == "paced", round_=round_) as (address, authority):
        arguments = (address, authority, str(channels), pace, str(events))
        ran = run(module("infra.bench.work.join_channels", *arguments))
    if events and ran.value("channels") < channels:
        raise ContenderFailed(f"not every channel was heard: {ran.output}")
    return ran


@contextlib.contextmanager
def _twitch(bench: Bench, channels: int, *, limited: bool, round_: int) -> Iterator[tuple[str, str]]:
    """A local Twitch in a process of its own: (address, file of its authority)."""
    limit = [] if limited else ["--join-limit", "0"]
    command = module(
        "infra.cli", "--home", bench.scratch / f"twitch-{channels}-{round_}", "twitch-sim", "--port", "0", "--json",
        "--channels", str(channels), "--rate", str(RATE), *limit,
    )  # fmt: skip
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        if not select.select([server.stdout], [], [], READY_S)[0]:
            raise ContenderFailed(f"the local Twitch did not start within {READY_S:.0f} s")
        facts = json.loads(server.stdout.readline())
        yield facts["address"], facts["ca"]
    finally:
        server.terminate()
        server.wait(20)
