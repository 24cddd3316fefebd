"""The command replay: files in, a folder of seals out, no server."""

import sys
from pathlib import Path
from typing import Any

import click

from infra import compose
from infra.cli.output import harmless, json_option, print_json
from infra.cli.reading import check_read_options, print_read, progress_bar, read_pepper_file, reading_options
from infra.settings import Settings
from streams.collect.files.formats import ReadOptions
from streams.collect.files.names import shown
from streams.replay.folding import FoldOptions
from streams.replay.run import Replayed
from streams.replay.run import replay as run_replay


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--pepper-file", type=click.Path(path_type=Path), help="The secret that makes refs (default: home/keys).")
@click.option(
    "--policy", type=click.Path(path_type=Path), help="Policy as JSON (default: the settings', else built in)."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that read.")
@click.option(
    "--memory-mb",
    type=click.IntRange(16, 65536),
    default=256,
    show_default=True,
    help="Events held in memory before they spill to disk.",
)
@reading_options
@json_option
@click.pass_obj
def replay(
    settings: Settings,
    files: tuple[str, ...],
    out: Path,
    pepper_file: Path | None,
    policy: Path | None,
    jobs: int,
    memory_mb: int,
    form: str | None,
    channel: str | None,
    tz: str,
    as_json: bool,
) -> None:
    """Historic logs to sealed epochs, with no server at all.

    FILES: tagged Twitch IRC, time-stamped untagged lines, tab-separated logs, NDJSON, the archive; .gz and .zst too;
    '-' is standard input. Writes DIR/seals.jsonl, leaf dumps, a private file of who is behind the refs, dead.jsonl.
    """
    compose.enable_fast_hashing(settings)
    options = FoldOptions(
        compose.schedule_of(policy or settings.policy_file),
        read_pepper_file(pepper_file) if pepper_file else compose.pepper_of(settings),
        ReadOptions(form, channel, tz),
        jobs,
        memory_mb << 20,
    )
    check_read_options(options.read)
    with progress_bar() as progress:
        done = run_replay(files, out, options, progress)
    _print_replay(done, out, as_json)
    if done.tally.failed_inputs:
        sys.exit(1)


def _print_replay(done: Replayed, out: Path, as_json: bool) -> None:
    tally = done.tally
    counts: dict[str, Any] = {
        "lines": tally.lines,
        "records": tally.records,
        "events": tally.events,
        "duplicates": tally.duplicates,
        "conflicts": tally.conflicts,
        "excluded": tally.excluded,
        "late": tally.late,
        "malformed": tally.malformed,
        "seals": tally.seals,
        "open_epochs": tally.open_epochs,
        **dict(sorted(tally.other.items())),
    }
    if as_json:
        print_json({**counts, "failed_inputs": tally.failed_inputs, "out": shown(str(out)), "digest": done.digest})
        return
    print_read(counts, tally, f"in {harmless(out / 'dead.jsonl')}")
    click.echo(f"digest {done.digest}")


COMMANDS = (replay,)
