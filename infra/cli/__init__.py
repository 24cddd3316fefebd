"""The command line: `twzrd`. One module per group of commands; each only composes and prints."""

import logging
import sys
from pathlib import Path

import click

from infra import logs, settings
from infra.cli import chat, data, keys, offline, pipeline
from schemas.errors import TwzrdError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home", type=click.Path(path_type=Path), help="Folder of everything twzrd keeps (TWZRD_HOME, ~/.twzrd)."
)
@click.version_option(package_name="twzrd")
@click.pass_context
def twzrd(context: click.Context, home: Path | None) -> None:
    """Twitch chat as sealed, provable epochs of participation.

    Every setting is a variable TWZRD_*; `twzrd settings` lists them.
    """
    context.obj = settings.load(home)
    logs.configure(context.obj.log_level, context.obj.log_format)


for command in (*offline.COMMANDS, *pipeline.COMMANDS, *chat.COMMANDS, *data.COMMANDS, *keys.COMMANDS):
    twzrd.add_command(command)


def main() -> None:
    """The installed command. A fault that we raise on purpose is one line on standard error and exit code 1."""
    try:
        twzrd(prog_name="twzrd", standalone_mode=False)
    except TwzrdError as error:
        click.echo(f"twzrd: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        logging.getLogger(__name__).debug("the reader of our output went away")
        sys.stderr.close()
        sys.exit(141)
