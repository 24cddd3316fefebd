"""Commands that need no server: replay, verify, and proofs from a replay's folder."""

import logging
import os
import stat
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from infra import compose
from infra.cli.output import harmless, json_option, print_json
from infra.keys import KeyFileError
from infra.settings import Settings
from schemas import bundle as bundles
from schemas import identity as identities
from schemas.errors import TwzrdError
from streams.collect.files.formats import ReadOptions
from streams.core.verify import Verified, verify_bundle
from streams.replay.folding import FoldOptions
from streams.replay.reading import size_of
from streams.replay.run import Replayed
from streams.replay.run import replay as run_replay

_log = logging.getLogger(__name__)


def reading_options(command: Any) -> Any:
    """How files are read: --format, --channel, --tz."""
    for option in (
        click.option("--tz", default="UTC", show_default=True, help="Time zone of local time stamps."),
        click.option("--channel", help="Channel login, for logs that do not name it (default: from the file's name)."),
        click.option("--format", "form", help="irc, stamped, tsv, ndjson or archive; default: found out."),
    ):
        command = option(command)
    return command


def read_pepper_file(path: Path) -> bytes:
    """A pepper given on the command line: 64 hex digits or 32 raw bytes. Warns where others may read it."""
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"pepper file {path}: {error.strerror}; make one with 'twzrd keys init'") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("pepper file %s can be read by others; chmod 600 it", path)
    if len(data) == 32:
        return data
    try:
        pepper = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        pepper = b""
    if len(pepper) != 32:
        raise KeyFileError(f"pepper file {path} holds {len(data)} bytes; it must hold 64 hex digits or 32 raw bytes")
    return pepper


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
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[lines]:>12,} lines"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, Any] = {}

        def progress(source: str, taken: int, lines: int) -> None:
            if source not in tasks:
                tasks[source] = bar.add_task(harmless(Path(source).name), total=size_of(source), lines=0)
            bar.update(tasks[source], completed=taken, lines=lines)

        done = run_replay(files, out, options, progress)
        for task in tasks.values():
            total = bar.tasks[task].completed
            bar.update(task, total=total, completed=total)
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
        print_json({**counts, "failed_inputs": tally.failed_inputs, "out": str(out), "digest": done.digest})
        return
    for name, value in counts.items():
        click.echo(f"{name.replace('_', ' '):<20} {value:>14,}")
    if tally.malformed:
        click.echo(f"what could not be read is named in {out / 'dead.jsonl'}")
    for name in tally.failed_inputs:
        click.echo(f"broke off: {name}", err=True)
    click.echo(f"digest {done.digest}")


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--against", multiple=True, help="Raw log to fold again and compare; may be given several times.")
@click.option("--pepper-file", type=click.Path(path_type=Path), help="With it a re-fold must give the same bytes.")
@click.option("--no-pepper", is_flag=True, help="Check digest, totals and counts only; needs no secret.")
@click.option("--seal-hash", help="For a bundle: the seal hash you know from elsewhere; every byte is then bound.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True)
@reading_options
@json_option
@click.pass_obj
def verify(
    settings: Settings,
    path: Path,
    against: tuple[str, ...],
    pepper_file: Path | None,
    no_pepper: bool,
    seal_hash: str | None,
    jobs: int,
    form: str | None,
    channel: str | None,
    tz: str,
    as_json: bool,
) -> None:
    """Check a replay's or export's folder, or one proof bundle, offline. Exit code 1 where anything does not hold."""
    from streams.replay.verify import verify_against, verify_folder

    if path.is_file():
        _verify_file(path, seal_hash, as_json)
        return
    compose.enable_fast_hashing(settings)
    if not against:
        result = verify_folder(path)
    else:
        if bool(pepper_file) == no_pepper:
            raise click.UsageError("--against needs --pepper-file FILE, or --no-pepper to check without refs")
        pepper = bytes(32) if pepper_file is None else read_pepper_file(pepper_file)
        options = FoldOptions(compose.schedule_of(settings.policy_file), pepper, ReadOptions(form, channel, tz), jobs)
        result = verify_against(path, against, options, with_pepper=not no_pepper)
    if as_json:
        print_json(
            {
                "good": not result.findings,
                "seals": result.seals,
                "compared": result.compared,
                "digest": result.digest,
                "findings": [asdict(finding) for finding in result.findings],
            }
        )
    else:
        for finding in result.findings[:20]:
            click.echo(f"BAD  {harmless(finding.where)}: {harmless(finding.what)}")
        if len(result.findings) > 20:
            click.echo(f"… and {len(result.findings) - 20} more (--json lists all)")
        compared = f", {result.compared} compared with the raw log" if against else ""
        click.echo(
            f"{'BAD' if result.findings else 'good'}: {result.seals} seals checked{compared}, "
            f"{len(result.findings)} findings"
        )
        click.echo(f"digest {result.digest}")
    if result.findings:
        sys.exit(1)


def _verify_file(path: Path, seal_hash: str | None, as_json: bool) -> None:
    if path.stat().st_size > bundles.MAX_BYTES:
        raise TwzrdError(f"{path} has {path.stat().st_size} bytes; a proof bundle has at most {bundles.MAX_BYTES}")
    shown = verify_bundle(bundles.decode(path.read_bytes()))
    facts = _facts(shown)
    if seal_hash is not None and seal_hash.lower() != facts["seal_hash"]:
        raise TwzrdError(f"{path} is about seal {facts['seal_hash']}, not about the {seal_hash} you know")
    if as_json:
        print_json({"good": True, **facts})
        return
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' '):<20} {harmless(value)}")
    click.echo(f"good: this {shown.kind} proof holds for the seal it carries")


def _facts(shown: Verified) -> dict[str, Any]:
    return {
        "kind": shown.kind,
        "channel": shown.header.channel,
        "epoch_start_s": shown.header.epoch_start_s,
        "revision": shown.header.revision,
        "viewer": shown.identity,
        "viewer_ref": shown.viewer_ref.hex(),
        "leaf": None if shown.index is None else f"{shown.index} of {shown.header.leaf_count}",
        "messages": shown.messages,
        "weight_centi": str(shown.weight_centi),
        "amount_base_units": str(shown.amount_base_units),
        "root": shown.header.root.hex(),
        "seal_hash": shown.header.hash().hex(),
    }


@click.command()
@click.option("--channel", required=True, help="Login or identity.")
@click.option("--epoch", type=int, required=True, help="Start of the epoch, unix seconds.")
@click.option("--viewer", required=True, help="Login or identity (twitch:id:…).")
@click.option("--revision", type=int, help="Default: the latest.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, exists=True),
    help="A replay's or export's folder; default: the database.",
)
@click.option("--pepper-file", type=click.Path(path_type=Path), help="Default: home/keys.")
@click.pass_obj
def proof(
    settings: Settings,
    channel: str,
    epoch: int,
    viewer: str,
    revision: int | None,
    folder: Path | None,
    pepper_file: Path | None,
) -> None:
    """A proof bundle on standard output: that a viewer took part in a channel's epoch, or did not."""
    from infra import proving

    compose.enable_fast_hashing(settings)
    pepper = read_pepper_file(pepper_file) if pepper_file else compose.pepper_of(settings)
    wanted = proving.Wanted(channel, epoch, revision)
    found = proving.from_folder(folder, wanted) if folder else proving.from_database(settings, wanted)
    identity = (
        viewer if viewer.startswith((identities.ID_PREFIX, identities.LOGIN_PREFIX)) else found.identity_of(viewer)
    )
    made = proving.prove(found, identity, pepper)
    sys.stdout.buffer.write(bundles.encode(made) + b"\n")
    sys.stdout.buffer.flush()
    if os.isatty(sys.stdout.fileno()):
        click.echo("(redirect it to a file, then: twzrd verify FILE)", err=True)


COMMANDS = (replay, verify, proof)
