"""The adapter's SQL (queries.sql), its streams, and the names of segment tables."""

from pathlib import Path
from typing import Final, NamedTuple

from streams.log.named_sql import load

SQL: Final = load(Path(__file__).with_name("queries.sql"))


class Stream(NamedTuple):
    """A stream as the database knows it."""

    id: int
    name: str
    partitions: int


def segment_table(stream_id: int, segment: int) -> str:
    """The table of one segment; made of numbers only, so it needs no quoting."""
    return f"log.record_{int(stream_id)}_{int(segment)}"


def on_segment(statement: str, stream_id: int, segment: int) -> str:
    """A statement of queries.sql for one segment's table."""
    return SQL[statement].replace("{segment}", segment_table(stream_id, segment))
