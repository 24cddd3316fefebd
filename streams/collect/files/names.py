"""Names of inputs, as people give them: paths, and "-" for standard input."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from streams.collect.files.errors import SourceError

STDIN: Final = "-"


def check_sources(sources: Iterable[str]) -> None:
    """Raises SourceError where an input does not exist, before anything is read."""
    for source in sources:
        if source != STDIN and not Path(source).exists():
            raise SourceError(f"{source}: no such file; check the path")
