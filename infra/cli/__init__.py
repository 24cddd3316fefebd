"""The command line: `twzrd`. One module per group of commands; each only composes and prints."""

import errno
import gc
import importlib
import io
import logging
import os
import sys
from pathlib import Path
from typing import Final

import click

from infra import logs, settings
from infra.leaving import leave_on_signals
from schemas.errors import TwzrdError

MODULES: Final = {
    "replay": ("replay",),
    "offline": ("verify", "proof"),
    "pipeline": ("load", "work", "project", "archive", "serve", "up", "demo"),
    "data": ("db", "export", "log", "reseal", "dev", "status"),
    "keys": ("keys", "settings"),
    "collect": ("collect",),
    "chat": ("simulate", "twitch-sim"),
    "control": ("channels", "optout"),
    "beside": ("discover", "close", "raw"),
    "twitch_login": ("twitch-login",),
    "chain": ("localnet", "token"),
    "claims": ("sign", "pay", "claims"),
}
"""Which module of this folder has which commands. A process imports the module of the one it runs: the servers' client
libraries take longer to import than many a replay takes."""


class Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name."""
        return [name for names in MODULES.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        module = next((module for module, names in MODULES.items() if cmd_name in names), None)
        if module is None:
            return None
        # We multiply no matrices: the threads that numpy would start for it spin for 0.05 s on every core.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # What an import makes lives as long as the process: looking for garbage in it was a tenth of the start.
        gc.disable()
        found: tuple[click.Command, ...] = importlib.import_module(f"infra.cli.{module}").COMMANDS
        gc.freeze()
        gc.enable()
        return next(command for command in found if command.name == cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--home", metavar="DIR", help="Folder of everything twzrd keeps (TWZRD_HOME, ~/.twzrd).")
@click.version_option(package_name="twzrd")
@click.pass_context
def twzrd(context: click.Context, home: str | None) -> None:
    """Twitch chat as sealed, provable epochs of participation.

    Every setting is a variable TWZRD_*; `twzrd settings` lists them.
    """
    if home == "":
        raise click.UsageError("--home is empty; name a folder, or leave it out")
    context.obj = settings.load(None if home is None else Path(home))
    logs.configure(context.obj.log_level, context.obj.log_format, colours=settings.colours_wanted())


def main() -> None:
    """The installed command. A fault that we raise on purpose, or the system's no, is one line on standard error and
    exit code 1."""
    leave_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another encoding than ours shows what it cannot say
            stream.reconfigure(errors="backslashreplace")
    try:
        twzrd(prog_name="twzrd", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (TwzrdError, OSError, ExceptionGroup) as fault:
        sys.exit(_tell(fault))


def _tell(fault: Exception) -> int:
    """Say it in one line; the exit code. Raises what is a fault of ours."""
    first: BaseException = fault
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, TwzrdError):
        click.echo(f"twzrd: {first}", err=True)
    elif isinstance(first, OSError):
        logging.getLogger(__name__).debug("where it came from", exc_info=first)
        click.echo(f"twzrd: {first}; {_mend(first)}", err=True)
    else:
        raise fault
    return 1


def _mend(error: OSError) -> str:
    """What to do about what the system would not do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, or choose another --home"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "whose is it? choose another --home or folder, or run as its owner"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a file is where a folder must be; choose another path"
    if error.errno == errno.ENOENT:
        return "check the path, and that its folder is there"
    if error.errno == errno.EADDRINUSE:
        return "choose another port"
    return "more with TWZRD_LOG_LEVEL=debug"
