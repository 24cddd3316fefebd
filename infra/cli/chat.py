"""Commands for chat without Twitch: simulate, twitch-sim."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from infra.cli.output import harmless, json_option, print_json
from infra.looping import run
from infra.settings import Settings
from schemas.columns import MAX_AT_MS, MIN_AT_MS
from streams.collect.simulation.chat import MAX_CHANNELS, MAX_RATE_PER_S

DEFAULT_START: Final = "2026-01-01T00:00:00Z"
"""Fixed, so that a seed alone gives the same bytes."""


class Moment(click.ParamType):
    """`now`, seconds since 1970, or ISO 8601 (UTC where it says no zone), as ms UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        try:
            if text == "now":
                moment_ms = time.time_ns() // 1_000_000
            elif text.isdigit():
                moment_ms = int(text) * 1000
            else:
                at = datetime.fromisoformat(text)
                moment_ms = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
        except ValueError:
            self.fail(f"{text!r} is no moment; give now, seconds since 1970, or 2026-01-31T12:00:00Z", param, ctx)
        if not MIN_AT_MS <= moment_ms < MAX_AT_MS:
            self.fail(f"{text!r} is outside 2011..2099", param, ctx)
        return moment_ms


def simulation_options(command: Any) -> Any:
    """What is simulated: --channels, --rate, --seed."""
    for option in (
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True),
        click.option(
            "--rate",
            type=click.FloatRange(0.001, MAX_RATE_PER_S),
            default=30.0,
            show_default=True,
            help="Lines a second of all channels together, on the average.",
        ),
        click.option(
            "--channels",
            type=click.IntRange(1, MAX_CHANNELS),
            default=6,
            show_default=True,
            help="How many; the first is the busiest, number n gets 1/n of it.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@simulation_options
@click.option("--start", type=Moment(), default=DEFAULT_START, show_default=True, help="When it begins; or now.")
@click.option("--seconds", type=click.IntRange(1, 366 * 86_400), default=3600, show_default=True, help="For how long.")
@click.option("--lines", type=click.IntRange(1), help="At most so many lines.")
@click.option(
    "--speed",
    type=click.FloatRange(0, 100_000),
    default=0.0,
    show_default=True,
    help="Simulated seconds a second; 0: as fast as it goes.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File; default: standard output.")
@click.option("--into-log", is_flag=True, help="Envelopes onto the log, as a collector would send them.")
@json_option
@click.pass_obj
def simulate(
    settings: Settings,
    channels: int,
    rate: float,
    seed: int,
    start: int,
    seconds: int,
    lines: int | None,
    speed: float,
    out: Path | None,
    into_log: bool,
    as_json: bool,
) -> None:
    """Simulated chat as tagged Twitch IRC lines. The same arguments give the same bytes on every machine."""
    from infra import simulating
    from streams.collect.simulation import Simulation

    if into_log and (out is not None or lines is not None):
        raise click.UsageError(
            "--into-log writes envelopes to the log: it goes with --seconds, not with --out or --lines"
        )
    simulation = Simulation(seed, channels, rate)
    span = simulating.Span(start, start + seconds * 1000, lines, speed)
    if into_log:
        counted = run(simulating.into_log(settings, simulation, span))
        counts = {"events": counted.events, "envelopes": counted.envelopes}
    elif out is None:
        counts = {"lines": simulating.write_lines(simulation, span, sys.stdout.buffer)}
        return
    else:
        with out.open("wb") as file:
            counts = {"lines": simulating.write_lines(simulation, span, file)}
    if as_json:
        print_json(counts)
    else:
        click.echo("  ".join(f"{count:,} {name}" for name, count in counts.items()))


@click.command("twitch-sim")
@click.argument("replay", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@simulation_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=6697, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--ca-out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the CA's certificate.")
@click.option(
    "--speed",
    type=click.FloatRange(0, 100_000),
    default=1.0,
    show_default=True,
    help="Seconds of chat a second; 0: as fast as the clients read, from the first JOIN on.",
)
@click.option(
    "--keep-times", is_flag=True, help="Leave the lines' own times; else they bear the time they are said at."
)
@click.option("--seconds", type=click.IntRange(1), help="Simulated chat ends after so long; default: never.")
@click.option("--prepare", type=click.IntRange(1, 5_000_000), metavar="LINES", help="Make so many lines beforehand.")
@click.option("--wait-joins", type=click.IntRange(0), help="Chat begins when so many channels are joined.")
@click.option(
    "--faults", default="", metavar="SPEC", help="What goes wrong: KIND/EVERY_S[/FOR_S],… for example cut/30."
)
@click.option("--join-limit", type=click.IntRange(0), default=20, show_default=True, help="Joins in 10 s; 0: no limit.")
@click.option("--notices", is_flag=True, help="Answer bad JOINs by NOTICE, where Twitch says nothing.")
@click.option("--history-port", type=click.IntRange(0, 65535), help="Serve recent messages over HTTP there.")
@click.option("--ledger", type=click.Path(path_type=Path, file_okay=False), help="Folder: what was said to whom, when.")
@click.option("--once", is_flag=True, help="End when the chat has ended.")
@json_option
@click.pass_obj
def twitch_sim(settings: Settings, /, as_json: bool, **options: Any) -> None:
    """A local Twitch: TLS, its IRC dialect, chat from the simulator or from the file REPLAY (tagged IRC, .gz, .zst).

    Then: twzrd collect --server 127.0.0.1:6697 --ca CA_FILE --channels …
    """
    from infra import simulating

    run(simulating.serve(settings, simulating.Served(**options), lambda facts: _served(facts, as_json=as_json)))


def _served(facts: dict[str, Any], *, as_json: bool) -> None:
    """Where it is, and at the end what it came to."""
    if as_json:
        print_json(facts)
    else:
        for name, value in facts.items():
            click.echo(f"{name:<10} {harmless(value)}")
        sys.stdout.flush()


COMMANDS = (simulate, twitch_sim)
