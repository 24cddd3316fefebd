"""What commands that read files share: the options of reading, a pepper's file, the progress bar."""

import contextlib
import logging
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from infra.cli.output import harmless
from infra.keys import KeyFileError
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.names import STDIN
from streams.replay.tally import Tally

ARCHIVE: Final = "archive"
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


def check_read_options(options: ReadOptions) -> None:
    """Raises SourceError for a format, a zone or a channel that no input can be read by, before anything is touched."""
    if options == ReadOptions():
        return
    from streams.collect.files import source, tsv  # 20 ms to import, and an archive takes none of them
    from streams.collect.files.local_time import zone

    known = [*source.FORMATS.names, ARCHIVE]
    if options.format is not None and options.format not in known:
        raise SourceError(f"--format {options.format}: there is no such form; it is one of {', '.join(known)}")
    zone(options.tz)
    if options.channel is not None:
        tsv.channel_of(STDIN, options)


def print_read(counts: Mapping[str, int], tally: Tally, dead: str) -> None:
    """What came of reading inputs, for people. dead: where it stands what could not be read."""
    for name, value in counts.items():
        click.echo(f"{name.replace('_', ' '):<20} {value:>14,}")
    if tally.malformed:
        click.echo(f"what could not be read is named {dead}")
    for name in tally.failed_inputs:
        click.echo(f"broke off: {harmless(name)}", err=True)


def read_pepper_file(path: Path) -> bytes:
    """A pepper given on the command line: 64 hex digits or 32 raw bytes. Warns where others may read it."""
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"pepper file {path}: {error.strerror}; make one with 'twzrd keys init'") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("pepper file %s can be read by others; chmod 600 it", path)
    if len(data) == 32 and not _all_hex(data):
        return data
    try:
        pepper = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        pepper = b""
    if len(pepper) != 32:
        cut = ", which look like the first half of a pepper in hex" if len(data) == 32 else ""
        raise KeyFileError(
            f"pepper file {path} holds {len(data)} bytes{cut}; it must hold 64 hex digits or 32 raw bytes: restore it "
            "from a backup"
        )
    return pepper


def _all_hex(data: bytes) -> bool:
    """32 raw bytes are never all hex digits (a chance of 10^-34); a file that was cut off may be."""
    return set(data) <= set(b"0123456789abcdefABCDEF")


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """Takes (input, bytes of it taken in, lines of it so far) and shows it, on a terminal only; elsewhere None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[lines]:>12,} lines"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bar:
        tasks: dict[str, Any] = {}

        def progress(source: str, taken: int, lines: int) -> None:
            if source not in tasks:
                tasks[source] = bar.add_task(harmless(Path(source).name), total=_size_of(source), lines=0)
            bar.update(tasks[source], completed=taken, lines=lines)

        yield progress
        for task in tasks.values():
            total = bar.tasks[task].completed
            bar.update(task, total=total, completed=total)


def _size_of(source: str) -> int | None:
    """An input's size in bytes, where it has one."""
    path = Path(source)
    return path.stat().st_size if path.is_file() else None
