"""`twzrd export`: rows of the read models as a file or on standard output."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

import asyncpg

from infra import compose, databases
from infra.settings import Settings
from projections import export, export_files, read
from schemas.errors import TwzrdError

_OF_FILES: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What writing may meet; the faults of a lost connection are others."""


class ExportError(TwzrdError):
    """The file cannot be written."""


async def run(settings: Settings, what: str, form: str, out: Path | None, channel: str | None) -> int:
    """Write the rows; returns how many. A file takes its name when it is whole; those that name people are 0600."""
    kind = cast(export.Kind, what)
    with compose.database(settings) as dsn, _opened(out, private=what in ("participants", "allocations")) as file:
        await databases.migrate(dsn)
        async with databases.connected(dsn) as connection:
            identity = None
            if channel is not None:
                identity = await read.resolve_channel(connection, channel)
                if identity is None:
                    raise ExportError(
                        f"channel {channel!r} was never sealed; 'twzrd export seals' lists those that were"
                    )
            rows = export.tables(connection, kind, export.Span(channel=identity))
            try:
                return await export_files.write(rows, export.FIELDS[kind], cast(export_files.Format, form), file)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise ExportError(f"the export was cut short: {error}; try again") from error


@contextlib.contextmanager
def _opened(out: Path | None, *, private: bool) -> Iterator[IO[bytes]]:
    try:
        if out is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        elif out.exists() and not out.is_file():
            # A pipe or a device is written to, never replaced.
            with out.open("wb") as file:
                yield file
        else:
            with _whole(out, 0o600 if private else 0o644) as file:
                yield file
    except BrokenPipeError:
        raise  # who read it has enough
    except OSError as error:
        if error.filename is None and error.errno not in _OF_FILES:
            raise ExportError(f"the export was cut short: {error}") from error
        raise ExportError(
            f"{out or 'standard output'}: {error.strerror}; choose another --out, or make room"
        ) from error


@contextlib.contextmanager
def _whole(out: Path, mode: int) -> Iterator[IO[bytes]]:
    """A file that takes its name when the block ends well."""
    # A name of this process's own: one that is there already would keep its mode, and two exports would mix.
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
