"""Writing archive files: rows in, durable Parquet files out. A file appears whole under its name or not at all."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from streams.log.archive.layout import SCHEMA, UNREADABLE, ArchiveError, Row, file_name, folder_of, row_of
from streams.log.archive.summary import Summing
from streams.log.port import LogRecord

GROUP_BYTES: Final = 4 << 20
"""Envelope bytes in one row group at most (one record at least): what a reader holds of a file at a time."""
GROUP_ROWS: Final = 4096
ZSTD_LEVEL: Final = 3
TEMPORARY_PREFIX: Final = ".writing-"
ROW_OVERHEAD_BYTES: Final = 512
"""What a buffered row costs beside its key and value, about."""


class FileWriter:
    """One file, row group by row group, under a temporary name until finish(). Rows rise by offset."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Row] = []
        self._bytes = 0
        self._summing = Summing()
        self._first: Row | None = None
        self._last: Row | None = None
        self._path = folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{id(self):x}"
        make_folder(folder)
        self._file = open(self._path, "wb")  # noqa: SIM115 - closed in finish() or discard()
        self._parquet: Any = None

    def add(self, row: Row) -> None:
        """Take one row. OSError where the disk does not take it; ArchiveError where offsets do not rise."""
        if self._last is not None and (row.partition, row.offset) <= (self._last.partition, self._last.offset):
            raise ArchiveError(
                f"records for {self._folder} do not rise by offset: {row.offset} after {self._last.offset} of "
                f"partition {row.partition}; give them in the log's order"
            )
        if self._rows and (self._bytes + len(row.envelope) > GROUP_BYTES or len(self._rows) >= GROUP_ROWS):
            self._write_group()
        self._rows.append(row)
        self._summing.add(row)
        self._bytes += len(row.envelope)
        self._first, self._last = self._first or row, row

    def finish(self) -> Path:
        """Write the rest, make it durable, give the file its name. OSError, and then nothing is there."""
        assert self._first is not None and self._last is not None, "a file needs a row"
        self._write_group()
        self._parquet.add_key_value_metadata(self._summing.metadata())
        self._parquet.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        path = self._folder / file_name(self._first.partition, self._first.offset, self._last.offset)
        os.replace(self._path, path)
        sync_folder(self._folder)
        return path

    def discard(self) -> None:
        """Leave nothing behind. Closing flushes, which on a full disk fails once more; the error is known by then."""
        with suppress(OSError, ValueError, pa.ArrowException):
            if self._parquet is not None:
                self._parquet.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()

    def _write_group(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(
                self._file,
                SCHEMA,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                # Repeating text as a dictionary; envelopes are all different.
                use_dictionary=["channel", "login", "type", "source", "observed_kind", "key"],
                write_statistics=[field.name for field in SCHEMA if field.name not in ("envelope", "key")],
                write_page_checksum=True,
                store_schema=False,
            )
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), row_group_size=len(self._rows))
        self._rows, self._bytes = [], 0


class Buffer:
    """Rows that wait to be written, and their size. flush() writes them all or, on an error, keeps them all."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.bytes = 0

    def add(self, partition: int, record: LogRecord) -> Row:
        """Take one record; returns its row."""
        row = row_of(partition, record)
        self.rows.append(row)
        self.bytes += len(row.envelope) + len(row.key) + ROW_OVERHEAD_BYTES
        return row

    def flush(self, root: Path) -> list[Path]:
        """Durable files of all rows, one per folder and partition. ArchiveError names the folder that failed; files
        finished before it stay and are written again, alike, by the next flush."""
        rows: dict[tuple[str, int], list[Row]] = {}
        for row in self.rows:
            rows.setdefault((folder_of(row), row.partition), []).append(row)
        paths = [write_file(root / folder, group) for (folder, _partition), group in sorted(rows.items())]
        self.rows, self.bytes = [], 0
        return paths


def write_file(folder: Path, rows: Iterable[Row]) -> Path:
    """One durable file of one partition's rows. ArchiveError where it cannot be written; then nothing is left."""
    writer: FileWriter | None = None
    try:
        writer = FileWriter(folder)
        for row in rows:
            writer.add(row)
        return writer.finish()
    except BaseException as error:
        if writer is not None:
            writer.discard()
        if not isinstance(error, OSError | pa.ArrowException):
            raise
        raise ArchiveError(
            f"archive file in {folder} cannot be written: {error}; make room or mend the "
            "folder's permissions. Nothing is lost: the records are still in the log and will be written then"
        ) from error


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable; a rename alone is not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class WriteStats:
    """What write_archive did."""

    records: int = 0
    unreadable: int = 0
    files: int = 0
    bytes: int = 0
    """On disk."""


def write_archive(root: Path, records: Iterable[tuple[int, LogRecord]], *, flush_bytes: int = 64 << 20) -> WriteStats:
    """Write (partition, record) pairs, rising by offset within each partition, as archive files; for tools that have
    no log between. Holds flush_bytes at most, one record at least. Raises ArchiveError."""
    stats, buffer = WriteStats(), Buffer()

    def flush() -> None:
        for path in buffer.flush(root):
            stats.files += 1
            stats.bytes += path.stat().st_size

    for partition, record in records:
        row = buffer.add(partition, record)
        stats.records += 1
        stats.unreadable += row.type == UNREADABLE
        if buffer.bytes >= flush_bytes:
            flush()
    flush()
    return stats
