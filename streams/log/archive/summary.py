"""What an archive file says of its rows in its footer: whose they are, of what time, how many. Readers skip files by
it, so it carries a hash of its own (Parquet's checksums cover pages, not footers)."""

from typing import Any, Final

import msgspec
from blake3 import blake3

from streams.log.archive.layout import Row

KEY: Final = b"twzrd.summary"
HASH_KEY: Final = b"twzrd.summary_blake3"


class Summary(msgspec.Struct, frozen=True):
    """Totals of one file. Times in ms UTC, [from_ms, to_ms)."""

    v: int
    records: int
    channels: list[str]
    logins: list[str]
    span_ms: tuple[int, int] | None
    """Everything its rows speak of."""
    undated: int
    """Rows without any time; they belong to every query."""


class Summing:
    """Adds rows up into a Summary."""

    def __init__(self) -> None:
        self._records = self._undated = 0
        self._channels: set[str] = set()
        self._logins: set[str] = set()
        self._span_ms: tuple[int, int] | None = None

    def add(self, row: Row) -> None:
        """Count one row in."""
        self._records += 1
        self._channels.add(row.channel)
        self._logins.add(row.login)
        span_ms = row.span_ms()
        if span_ms is None:
            self._undated += 1
        elif self._span_ms is None:
            self._span_ms = span_ms
        else:
            self._span_ms = min(self._span_ms[0], span_ms[0]), max(self._span_ms[1], span_ms[1])

    def metadata(self) -> dict[bytes, bytes]:
        """Key-value metadata for the footer."""
        summary = Summary(1, self._records, sorted(self._channels), sorted(self._logins), self._span_ms, self._undated)
        data = msgspec.json.encode(summary)
        return {KEY: data, HASH_KEY: blake3(data).hexdigest().encode()}


def read_summary(metadata: dict[bytes, bytes] | Any) -> Summary:
    """The summary in a footer's metadata; ValueError where it is missing, damaged or of a newer version."""
    data = (metadata or {}).get(KEY)
    if data is None or blake3(data).hexdigest().encode() != metadata.get(HASH_KEY):
        raise ValueError("its footer's summary is missing or does not fit its hash")
    summary = msgspec.json.decode(data, type=Summary)
    if summary.v != 1:
        raise ValueError(f"it is of version {summary.v}; this program reads version 1, update the program")
    return summary
