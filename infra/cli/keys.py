"""`twzrd keys` and `twzrd settings`."""

from pathlib import Path

import click

from infra import compose
from infra import keys as key_files
from infra import settings as settings_module
from infra.cli.output import json_option, print_json, print_rows
from infra.settings import Settings


@click.group()
def keys() -> None:
    """The pepper, the operator's key and the session key: made once, mode 0600, never overwritten."""


def _rows(states: list[key_files.KeyState]) -> list[dict[str, object]]:
    return [
        {"key": state.name, "path": str(state.path), "made now": state.made_now, "fingerprint": state.fingerprint}
        for state in states
    ]


_COLUMNS = ("key", "path", "made now", "fingerprint")


@keys.command()
@json_option
@click.pass_obj
def init(settings: Settings, as_json: bool) -> None:
    """Make the keys that are not there yet."""
    compose.make_home(settings)
    made = key_files.init(settings.pepper_path, settings.operator_key_path)
    made.append(key_files.init_session_key(settings.session_key_path))
    print_rows(_COLUMNS, _rows(made), as_json=as_json)


@keys.command()
@click.option("--secret", is_flag=True, help="Print the operator's key itself, to be sent in a request.")
@json_option
@click.pass_obj
def show(settings: Settings, secret: bool, as_json: bool) -> None:
    """Where the keys are and their fingerprints (the pepper's stands in every seal header)."""
    if secret:
        click.echo(key_files.read_operator_key(settings.operator_key_path))
        return
    shown = key_files.show(settings.pepper_path, settings.operator_key_path)
    if settings.session_key_path.exists():
        shown.append(key_files.show_session_key(settings.session_key_path))
    print_rows(_COLUMNS, _rows(shown), as_json=as_json)


@keys.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
@click.pass_obj
def backup(settings: Settings, folder: Path, as_json: bool) -> None:
    """Copy the keys that nobody can make again into FOLDER: pepper and operator's key and, where they are there, the
    marker secret and the keys of the chain. Copied into home/keys they work as before. The session key needs no copy:
    a new one only signs everybody out."""
    files = {
        "pepper": settings.pepper_path,
        "operator": settings.operator_key_path,
        "marker": settings.marker_secret_path,
        "mint-authority.json": settings.mint_authority_path,
        "fee-payer.json": settings.fee_payer_path,
        "mint.json": settings.mint_key_path,
    }
    for path in key_files.backup(files, folder):
        if as_json:
            print_json({"path": str(path)})
        else:
            click.echo(str(path))


@click.command()
@json_option
def settings(as_json: bool) -> None:
    """Every setting: variable, default, meaning."""
    rows = [
        {"variable": variable, "default": default, "meaning": meaning}
        for variable, default, meaning in settings_module.variables()
    ]
    print_rows(("variable", "default", "meaning"), rows, as_json=as_json)


COMMANDS = (keys, settings)
