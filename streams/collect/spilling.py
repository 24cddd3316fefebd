"""Temporary files of readers and folds: what a disk refuses is one error that says where and what to do."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import TwzrdError


class SpillError(TwzrdError):
    """A temporary file cannot take what memory cannot hold."""


@contextmanager
def spilling() -> Iterator[None]:
    """Around what makes, writes or flushes a temporary file: OSError becomes a SpillError."""
    try:
        yield
    except OSError as error:
        raise SpillError(
            f"cannot spill to {tempfile.tempdir or 'the folder of temporary files'}: {error}; "
            "make room there or point TMPDIR elsewhere"
        ) from error
