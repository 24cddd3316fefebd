"""Reading Twitch's lines on one core, beside the parsers of other projects: real captures, tagged and not, mixed."""

from typing import Final

from infra.bench import inputs
from infra.bench.bench import Bench
from infra.bench.racing import median, module, race
from infra.bench.table import Line, figure

NAME: Final = "parser"
WORK: Final = "parser, real captures mixed, one core, what an event needs"
TARGET: Final = "350 k lines/s and 3 x the fastest peer"
TAGGED: Final = "parser, tagged captures alone, one core, what an event needs"
CRATE: Final = 280_000
PEERS: Final = {"twitchio": "twitchio 2", "irc": "jaraco irc", "irctokens": "irctokens"}


def measure(bench: Bench) -> list[Line]:
    """Each parser in fresh processes, in turns."""
    capture, tagged = inputs.captures(bench), inputs.tagged_captures(bench)
    names = ("ours", "ours-small", *PEERS)
    commands = {name: module("infra.bench.work.parse_lines", name, capture) for name in names}
    commands["tagged"] = module("infra.bench.work.parse_lines", "ours", tagged)
    ran = race(commands, bench.rounds)
    rates = {name: sorted(one.value("rate") for one in runs) for name, runs in ran.items()}
    middle = {name: median(values) for name, values in rates.items()}
    best = max(PEERS, key=lambda name: middle[name])
    refused = ", ".join(f"{PEERS[name]} {ran[name][0].value('refused'):.0f}" for name in PEERS)
    return [
        Line(
            WORK,
            figure(middle["ours"], "lines/s"),
            TARGET,
            middle["ours"] >= 350_000 and middle["ours"] >= 3 * middle[best],
            peer=f"{figure(middle[best], 'lines/s')} ({PEERS[best]})",
            ratio=f"{middle['ours'] / middle[best]:.2f}",
            spread=f"{figure(rates['ours'][0], '').strip()} .. {figure(rates['ours'][-1], '').strip()}",
            note="; ".join(f"{PEERS[name]} {figure(middle[name], 'lines/s')}" for name in PEERS)
            + f"; refused of {ran['ours'][0].value('lines'):.0f} lines: {refused}, "
            f"ours {ran['ours'][0].value('refused'):.0f} (all without a time stamp)",
        ),
        Line(
            TAGGED,
            figure(middle["tagged"], "lines/s"),
            f"more than {CRATE / 1000:.0f} k lines/s",
            middle["tagged"] > CRATE,
            spread=f"{figure(rates['tagged'][0], '').strip()} .. {figure(rates['tagged'][-1], '').strip()}",
            note=f"{ran['tagged'][0].value('lines'):.0f} lines; the target is what the Rust crate twitch-irc does with "
            "them on such a core, measured elsewhere",
        ),
        Line(
            "parser, the mixed ones in reads of 4 lines, as quiet channels give them",
            figure(middle["ours-small"], "lines/s"),
            "",
            None,
            peer=f"{figure(middle[best], 'lines/s')} ({PEERS[best]})",
            ratio=f"{middle['ours-small'] / middle[best]:.2f}",
            spread=f"{figure(rates['ours-small'][0], '').strip()} .. {figure(rates['ours-small'][-1], '').strip()}",
        ),
    ]
