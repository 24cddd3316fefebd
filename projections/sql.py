"""Named SQL: loads projections/queries.sql once; code asks for a statement by name, so all SQL stands in one place."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

from projections.errors import ProjectionError

_NAME: Final = re.compile(r"^-- ([a-z_0-9]+) --$", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Statements by name; a statement begins with `-- its_name --` on a line of its own. ProjectionError where a name
    stands twice."""
    found: dict[str, str] = {}
    pieces = _NAME.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in found:
            raise ProjectionError(f"queries.sql names {name!r} twice; give one of them another name")
        found[name] = body.strip().rstrip(";")
    return found


@cache
def _statements() -> dict[str, str]:
    return parse(files("projections").joinpath("queries.sql").read_text("utf-8"))


def sql(name: str) -> str:
    """The statement of that name; KeyError (a programming error) where there is none."""
    return _statements()[name]
