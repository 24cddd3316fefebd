"""Projections of the operator's own, named by TWZRD_PROJECTIONS: imported, made, held to the port's rules.

In: "module:Class", more of them with commas. Out: projections for `twzrd project`. See docs/projections.md.
"""

import importlib
import re
from collections.abc import Collection
from typing import Final

from projections.port import Projection
from schemas.errors import TwzrdError
from schemas.streams import STREAMS

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,50}")
"""Of projections and their tables: they stand in SQL as they are."""


class ProjectionUnfit(TwzrdError):
    """A class of TWZRD_PROJECTIONS is none that can run."""


def made(named: str, taken: Collection[Projection]) -> list[Projection]:
    """One of each class. taken: those that run already, whose names and tables are theirs. Raises ProjectionUnfit."""
    found: list[Projection] = []
    for piece in named.split(",") if named else []:
        one = _made(piece.strip())
        for other in (*taken, *found):
            if one.name == other.name or set(one.tables) & set(other.tables):
                raise ProjectionUnfit(
                    f"TWZRD_PROJECTIONS: {piece.strip()} has the name or a table of projection {other.name!r}; "
                    "give it its own"
                )
        found.append(one)
    return found


def _made(named: str) -> Projection:
    module, _, name = named.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ProjectionUnfit(
            f"TWZRD_PROJECTIONS: {named} cannot be imported: {error}; PYTHONPATH must find its module"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Projection)):
        raise ProjectionUnfit(f"TWZRD_PROJECTIONS: {named} is no class of projections.port.Projection")
    try:
        one: Projection = kind()
        names, fits = (one.name, *one.tables), one.stream in STREAMS and isinstance(one.version, int)
    except (TypeError, AttributeError) as error:
        raise ProjectionUnfit(f"TWZRD_PROJECTIONS: {named} cannot be made: {error}; see docs/projections.md") from error
    if not fits or not one.tables or not all(_NAME.fullmatch(each) for each in names):
        raise ProjectionUnfit(
            f"TWZRD_PROJECTIONS: {named} has name {one.name!r}, tables {one.tables!r}, stream {one.stream!r}, version "
            f"{one.version!r}; names are lowercase letters, digits and _, streams {', '.join(STREAMS)}, versions whole"
        )
    return one
