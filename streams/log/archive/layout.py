"""The archive's form: folders, file names, columns. Records of chat.events in, rows and places out.

    <root>/<channel login or id>/<YYYY-MM-DD>/<partition>-<first offset>-<last offset>.parquet

A row is one log record; `envelope` holds its exact bytes, the other columns are for finding and looking. A folder's
name is for people: what belongs to whom is said by the column `channel`, so a renamed channel or a recycled login
does no harm. The day (UTC) is that of the record's first moment; of records that cannot be read, of the log's time.
"""

import datetime
import re
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
from blake3 import blake3

from schemas import envelope as envelopes
from schemas.errors import SchemaError
from schemas.identity import ID_PREFIX, LOGIN_PREFIX
from streams.log.port import LogError, LogRecord

UNREADABLE: Final = "unreadable"
"""Type of a record that does not decode; kept all the same, and found by its key."""
MAX_OFFSET: Final = 2**63 - 1
MAX_FOLDER_CHARS: Final = 100

SCHEMA: Final = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("log_time_ms", pa.int64()),
        ("key", pa.binary()),
        ("channel", pa.string()),
        ("login", pa.string()),
        ("type", pa.string()),
        ("source", pa.string()),
        ("seq", pa.int64()),
        ("observed_from_ms", pa.int64()),
        ("observed_to_ms", pa.int64()),
        ("observed_kind", pa.string()),
        ("events", pa.int32()),
        ("at_min_ms", pa.int64()),
        ("at_max_ms", pa.int64()),
        ("envelope", pa.binary()),
    ]
)


class ArchiveError(LogError):
    """A file of the archive that cannot be written or read; the message names it and the mend."""


class Row(NamedTuple):
    """One record with what its envelope says; the fields are SCHEMA's columns, in order."""

    partition: int
    offset: int
    log_time_ms: int
    key: bytes
    channel: str
    login: str
    type: str
    source: str | None
    seq: int | None
    observed_from_ms: int | None
    observed_to_ms: int | None
    observed_kind: str | None
    events: int
    at_min_ms: int | None
    at_max_ms: int | None
    envelope: bytes

    def span_ms(self) -> tuple[int, int] | None:
        """[first, after last) moment the record speaks of; None where it cannot be read or names none."""
        starts = [ms for ms in (self.observed_from_ms, self.at_min_ms) if ms is not None]
        ends = [ms for ms in (self.observed_to_ms, None if self.at_max_ms is None else self.at_max_ms + 1) if ms]
        return (min(starts), max(ends)) if starts else None


class FileName(NamedTuple):
    """What a file's path says. Sorts by partition, then offset."""

    partition: int
    first: int
    last: int
    path: Path


_FILE = re.compile(r"(\d{1,9})-(\d{1,19})-(\d{1,19})\.parquet")
DAY_FOLDER: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def row_of(partition: int, record: LogRecord) -> Row:
    """The record as a row; one that does not decode becomes a row of type UNREADABLE under its key."""
    offset, key, value, time_ms = record
    try:
        envelope = envelopes.decode(value)
        at = envelope.columns().at
        channel, login = envelope.channel.encode().decode(), envelope.login.encode().decode()
    except (SchemaError, UnicodeError):
        name = key.decode("utf-8", "backslashreplace")
        return Row(
            partition, offset, time_ms, key, name, name, UNREADABLE, None, None, None, None, None, 0, None, None, value
        )
    start, end, kind = envelope.observed or (None, None, None)
    return Row(
        partition,
        offset,
        time_ms,
        key,
        channel,
        login,
        envelope.type,
        envelope.source,
        envelope.seq if -(2**63) <= envelope.seq < 2**63 else None,
        start,
        end,
        kind,
        len(at),
        int(at.min()) if len(at) else None,
        int(at.max()) if len(at) else None,
        value,
    )


def folder_of(row: Row) -> str:
    """<channel login or id>/<day>; safe as a path whatever the record holds."""
    name = row.login or row.channel
    for prefix in (ID_PREFIX, LOGIN_PREFIX):
        name = name.removeprefix(prefix)
    span = row.span_ms()
    return f"{_safe(name)}/{_day(row.log_time_ms if span is None else span[0])}"


def _safe(name: str) -> str:
    if re.fullmatch(r"[a-z0-9_-]{1,100}", name):
        return name
    # Anything else is escaped byte by byte; '.', '/', '%' and capitals never come through as they are.
    escaped = "".join(c if re.fullmatch(r"[a-z0-9_-]", c) else "".join(f"%{b:02x}" for b in c.encode()) for c in name)
    return escaped if 0 < len(escaped) <= MAX_FOLDER_CHARS else f"%{blake3(name.encode()).hexdigest()[:32]}"


def _day(ms: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return "0000-00-00"


def file_name(partition: int, first: int, last: int) -> str:
    """The name of a file with a partition's records first..last (not necessarily all of them)."""
    return f"{partition}-{first}-{last}.parquet"


def parse_file(path: Path) -> FileName | None:
    """What the name says, or None where it is not an archive file's (temporary files, foreign ones)."""
    match = _FILE.fullmatch(path.name)
    if match is None:
        return None
    partition, first, last = map(int, match.groups())
    return FileName(partition, first, last, path) if first <= last <= MAX_OFFSET else None
