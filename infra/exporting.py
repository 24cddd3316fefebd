"""`twzrd export`: rows of the read models as a file or on standard output."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

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
            return await export_files.write(rows, export.FIELDS[kind], cast(export_files.Format, form), file)


@contextlib.contextmanager
def _opened(out: Path | None, *, private: bool) -> Iterator[IO[bytes]]:
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A name of this process's own: one that is there already would keep its mode, and two exports would mix.
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        if error.filename is None and error.errno not in _OF_FILES:
            raise ExportError(f"the export was cut short, and {out} not written: {error}") from error
        raise ExportError(f"{out}: {error.strerror}; choose another --out, or make room") from error
    finally:
        part.unlink(missing_ok=True)
