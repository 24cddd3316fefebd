"""Names of inputs, as people give them: paths, and "-" for standard input."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from streams.collect.files.errors import SourceError

STDIN: Final = "-"


def shown(name: str) -> str:
    """A file's name as text that any encoder takes: bytes that are no UTF-8 stand escaped in it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_sources(sources: Iterable[str]) -> None:
    """Raises SourceError where an input does not exist, before anything is read."""
    for source in sources:
        try:
            there = source == STDIN or Path(source).exists()
        except OSError as error:
            raise SourceError(f"{source}: cannot be opened: {error.strerror or error}") from error
        if not there:
            raise SourceError(f"{source}: no such file; check the path")


def looks_archived(source: str) -> bool:
    """Whether the input is an archive folder or a file of one."""
    path = Path(source)
    return source != STDIN and (path.is_dir() or path.suffix == ".parquet")
