"""What the local server said, to whom and when: what tests hold against the log and its coverage.

A row for every event of chat and every connection that had joined its channel, and one with connection 0 for an event
that nobody was there to hear: it happened all the same. Bounded: rows in memory, or all of them in a folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.errors import TwzrdError
from streams.collect.twitch_sim.block import NO_EVENT, Block

MAX_ROWS: Final = 5_000_000
"""Kept in memory without a folder, 48 bytes each; then the oldest are forgotten, counted."""
NOBODY: Final = 0
NEVER: Final = -1
"""End offset of a line that was not written: the connection was silent, or nobody listened."""
ROW: Final = np.dtype(
    [
        ("at_ms", "<i8"),
        ("sent_at_ms", "<i8"),
        ("end_offset", "<i8"),
        ("channel", "<u4"),
        ("connection", "<u4"),
        ("id", "V16"),
        ("kind", "u1"),
    ],
)
_ROWS_FILE, _FACTS_FILE = "sent.rows", "sent.json"


class LedgerError(TwzrdError):
    """A ledger's folder that cannot be written or read."""


class Sent(NamedTuple):
    """One row. at_ms: tmi-sent-ts; sent_at_ms: this machine's clock; flushed: whether all of it left the process."""

    channel: str
    event_id: bytes
    kind: int
    at_ms: int
    sent_at_ms: int
    connection: int
    written: bool
    flushed: bool


class SentLedger:
    """Rows in the order they were sent. Connections are numbered from 1."""

    def __init__(self, logins: list[str], folder: Path | None = None, max_rows: int = MAX_ROWS) -> None:
        """logins: of the rooms, by number. folder: where all rows go instead of memory. Raises LedgerError."""
        self.logins = logins
        self.forgotten_rows = 0
        self.rows_total = 0
        self.flushed: dict[int, int] = {}
        """Bytes of each connection's stream that left the process, as far as known."""
        self._max_rows = max_rows
        self._parts: list[NDArray[Any]] = []
        self._folder = folder
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / _ROWS_FILE).open("wb") if folder is not None else None
        except OSError as error:
            raise LedgerError(f"ledger {folder}: {error.strerror}; name a folder that may be written") from error

    def add(self, block: Block, rows: NDArray[np.int64], connection: int, ends: Any, sent_at_ms: int) -> None:
        """Rows of a block went to a connection; ends: where each ends in its stream, or NEVER."""
        event = block.kind[rows] != NO_EVENT
        if not event.all():
            rows = rows[event]
            ends = ends[event] if isinstance(ends, np.ndarray) else ends
        if not len(rows):
            return
        part = np.empty(len(rows), ROW)
        part["at_ms"] = block.at[rows]
        part["sent_at_ms"] = sent_at_ms
        part["end_offset"] = ends
        part["channel"] = block.channel[rows]
        part["connection"] = connection
        part["id"] = np.ascontiguousarray(block.ids[rows]).view("V16")[:, 0]
        part["kind"] = block.kind[rows]
        self.rows_total += len(part)
        if self._file is not None:
            self._file.write(part.tobytes())
            return
        self._parts.append(part)
        while self.rows_total - self.forgotten_rows > self._max_rows:
            self.forgotten_rows += len(self._parts.pop(0))

    def table(self) -> NDArray[Any]:
        """All rows that are kept, dtype ROW."""
        if self._folder is not None:
            if self._file is not None:
                self._file.flush()
            return np.fromfile(self._folder / _ROWS_FILE, ROW)
        return np.concatenate(self._parts) if self._parts else np.empty(0, ROW)

    def __iter__(self) -> Iterator[Sent]:
        for row in self.table():
            connection, end = int(row["connection"]), int(row["end_offset"])
            yield Sent(
                self.logins[int(row["channel"])],
                row["id"].tobytes(),
                int(row["kind"]),
                int(row["at_ms"]),
                int(row["sent_at_ms"]),
                connection,
                end != NEVER,
                end != NEVER and end <= self.flushed.get(connection, 0),
            )

    def close(self) -> None:
        """Complete the folder, where there is one."""
        if self._file is None or self._folder is None:
            return
        self._file.close()
        self._file = None
        facts = {"v": 1, "logins": self.logins, "flushed": {str(k): v for k, v in self.flushed.items()}}
        (self._folder / _FACTS_FILE).write_bytes(orjson.dumps(facts))


def read_ledger(folder: Path) -> SentLedger:
    """The ledger that a server of another process wrote and closed. Raises LedgerError."""
    try:
        facts = orjson.loads((folder / _FACTS_FILE).read_bytes())
        rows = np.fromfile(folder / _ROWS_FILE, ROW)
    except (OSError, ValueError) as error:
        raise LedgerError(f"ledger {folder} cannot be read: {error}; was its server ended in order?") from error
    ledger = SentLedger(facts["logins"], max_rows=max(len(rows), 1))
    ledger.flushed = {int(k): v for k, v in facts["flushed"].items()}
    ledger._parts, ledger.rows_total = [rows], len(rows)
    return ledger
