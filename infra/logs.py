"""Structured logs: how every process says what it does, on standard error.

In: the standard library's logging calls, with fields in `extra={"fields": {...}}`. Out: one JSON object a line, or one
readable line on a terminal. Standard output is left to data.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import orjson

# A line longer than this is cut: a log is read by people and by tools with bounded lines.
LINE_LIMIT_BYTES = 64 * 1024
_LEVEL_COLORS = {"warning": "33", "error": "31", "critical": "31;1", "debug": "2"}
LAYOUT: Final = "\n\t"
"""What a log line may have of control characters."""


class JsonLines(logging.Formatter):
    """{"at","level","logger","message", ...fields, "error"?} as one line; `at` is UTC with milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            # A field never hides what every line has.
            line[name if name not in line else f"field_{name}"] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        data = _json(line)
        if len(data) > LINE_LIMIT_BYTES:
            short = {"at": line["at"], "level": line["level"], "logger": record.name, "cut_bytes": len(data)}
            data = _json(short | {"message": record.getMessage()[:4096]})
        return data


class TerminalLines(logging.Formatter):
    """`12:34:56.789 warning streams.log message name=value …`, with a little colour where it is wanted."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = _LEVEL_COLORS if colours else {}

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        color = self._colours.get(level)
        shown = f"\x1b[{color}m{level}\x1b[0m" if color else level
        pairs = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_at(record)[11:23]} {shown} {record.name} {harmless(record.getMessage() + pairs, LAYOUT)}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + harmless("".join(traceback.format_exception(record.exc_info[1])).rstrip(), LAYOUT)
        return line


def configure(
    level: str = "info",
    form: Literal["auto", "json", "text"] | str = "auto",
    stream: TextIO | None = None,
    *,
    colours: bool = True,
) -> None:
    """Send all logging of this process to `stream` (standard error); once per process, a second call replaces it.
    colours: whether a terminal may get them; a file never does."""
    target = sys.stderr if stream is None else stream
    text = form == "text" or (form == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(TerminalLines(colours=colours and target.isatty()) if text else JsonLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # These say every poll and every reconnect at info; the last two every request with its address, which may hold a
    # provider's key.
    for noisy in ("aiokafka", "kafka", "faust", "mode", "asyncio", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(line: dict[str, object]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # what no strict JSON can say: a file's name that is not UTF-8, a whole number beyond 64 bits
        return json.dumps(line, default=str, skipkeys=True)


def harmless(text: str, keep: str = "") -> str:
    """Without what steers a terminal, but for the characters kept: text from chat or a server may stand in it."""
    return "".join(one if one.isprintable() or one in keep else "\N{REPLACEMENT CHARACTER}" for one in text)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", None)
    return {str(name): value for name, value in fields.items()} if isinstance(fields, dict) else {}
