"""How commands print: one JSON object, JSON lines or a table for people. Text that came from chat is made harmless."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click
import orjson

from infra import logs

PIPE_WIDTH: Final = 10_000


def json_option(command: Any) -> Any:
    """Adds --json to a command whose output is data."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text for people.")(command)


def print_json(value: object) -> None:
    """One JSON object on one line."""
    try:
        line = orjson.dumps(value, default=str)
    except TypeError:  # what no strict JSON can say, like a path that is not UTF-8
        line = json.dumps(value, default=str).encode()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def print_rows(columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, as_json: bool, title: str = "") -> None:
    """Rows as JSON lines, or as a table."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")  # on a narrow terminal nothing is cut off
    for row in rows:
        table.add_row(*(Text(harmless(row.get(column))) for column in columns))
    # A pipe has no width: each row stays one line there, and nothing is cut or folded.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def harmless(value: object) -> str:
    """A value's text without control characters, so that nothing from chat steers a terminal."""
    return logs.harmless("" if value is None else str(value))
