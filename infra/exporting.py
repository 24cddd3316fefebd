"""`twzrd export`: rows of the read models as a file or on standard output."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from infra import compose, databases
from infra.settings import Settings
from projections import export, export_files, read
from schemas.errors import TwzrdError


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
    part = out.with_name(out.name + ".part")
    try:
        part.unlink(missing_ok=True)  # one that was left has the rights of what it was for
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror}; choose another --out, or make room") from error
    finally:
        part.unlink(missing_ok=True)
