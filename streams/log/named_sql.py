"""SQL statements by name: a .sql file in, a mapping of its statements out, so that no SQL stands in Python text.

A statement begins after a line `-- name: <name>` and reaches to the next one. Read once, at the first question.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from schemas.errors import TwzrdError

_NAME = re.compile(r"^-- name: *([a-z][a-z0-9_]*) *$", re.MULTILINE)


class NamedSqlError(TwzrdError):
    """A .sql file that does not consist of named statements."""


def load(path: Path) -> dict[str, str]:
    """The statements of a file by name. Raises NamedSqlError for a name given twice, an empty statement, or none."""
    pieces = _NAME.split(path.read_text(encoding="utf-8"))
    statements: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in statements or not body.strip():
            raise NamedSqlError(f"{path}: statement {name!r} is empty or named twice; give each its own name and text")
        statements[name] = body.strip()
    if not statements:
        raise NamedSqlError(f"{path} names no statement; begin each with a line '-- name: <name>'")
    return statements


def named(path: Path) -> Callable[[str], str]:
    """A look-up in that file: gives the statement of a name; KeyError (a programming error) where there is none."""

    @cache
    def statements() -> dict[str, str]:
        return load(path)

    return lambda name: statements()[name]
