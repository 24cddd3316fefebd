"""Commands that check and prove what is there, with no server: verify, and proofs from a replay's folder."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from infra import compose
from infra.cli.output import harmless, json_option, print_json
from infra.cli.reading import check_read_options, read_pepper_file, reading_options
from infra.settings import Settings
from schemas import bundle as bundles
from schemas import identity as identities
from schemas.errors import TwzrdError
from streams.collect.files.formats import ReadOptions
from streams.core.verify import Verified, verify_bundle
from streams.replay.against import verify_against
from streams.replay.folding import FoldOptions
from streams.replay.verify import verify_folder


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.argument("files", nargs=-1)
@click.option("--against", multiple=True, metavar="FILE...", help="Raw logs to fold again and compare.")
@click.option(
    "--pepper-file", type=click.Path(path_type=Path), help="With it refs are checked, and a re-fold byte for byte."
)
@click.option("--no-pepper", is_flag=True, help="Re-fold for digest, totals and counts only; needs no secret.")
@click.option("--seal-hash", help="For a bundle: the seal hash you know from elsewhere; every byte is then bound.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True)
@reading_options
@json_option
@click.pass_obj
def verify(
    settings: Settings,
    path: Path,
    files: tuple[str, ...],
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
    """Check a replay's folder, or one proof bundle, offline. Exit code 1 where anything does not hold.

    PATH: the folder, or the bundle. Further FILES are raw logs like those of --against.
    """
    if files and not against:
        raise click.UsageError(f"{files[0]} is one path too many; raw logs stand after --against")
    against += files
    if path.is_file():
        if against or pepper_file or no_pepper:
            raise click.UsageError(
                f"{path} is a file, so it is checked as a proof bundle, which takes only --seal-hash"
            )
        _verify_file(path, seal_hash, as_json)
        return
    if seal_hash:
        raise click.UsageError(f"--seal-hash is for a proof bundle; {path} is a folder")
    if pepper_file and no_pepper:
        raise click.UsageError("--pepper-file or --no-pepper, not both")
    compose.enable_fast_hashing(settings)
    pepper = None if pepper_file is None else read_pepper_file(pepper_file)
    if not against:
        result = verify_folder(path, pepper=pepper)
    else:
        if pepper is None and not no_pepper:
            raise click.UsageError("--against needs --pepper-file FILE, or --no-pepper to check without refs")
        options = FoldOptions(
            compose.schedule_of(settings.policy_file), pepper or bytes(32), ReadOptions(form, channel, tz), jobs
        )
        check_read_options(options.read)
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
@click.option("--epoch", type=click.IntRange(0, 2**53), required=True, help="Start of the epoch, unix seconds.")
@click.option("--viewer", required=True, help="Login or identity (twitch:id:…).")
@click.option("--revision", type=click.IntRange(0, 65_535), help="Default: the latest.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, exists=True),
    help="A replay's folder; default: the database.",
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


COMMANDS = (verify, proof)
