"""One archive file for reading: its footer's summary, then its rows, checked. Used by reading and compacting."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from streams.log.archive.layout import SCHEMA, ArchiveError, FileName, Row, parse_file
from streams.log.archive.summary import Summary, read_summary

READ_BUFFER_BYTES: Final = 256 << 10


class ArchiveFile:
    """A file whose footer has been read and fits. ArchiveError names it when it is damaged."""

    def __init__(self, name: FileName) -> None:
        self.name = name
        with _naming(name.path), pq.ParquetFile(name.path) as parquet:
            if not parquet.schema_arrow.equals(SCHEMA):
                raise ValueError("its columns are not the archive's")
            self.summary: Summary = read_summary(parquet.metadata.metadata)

    def batches(self, columns: list[str]) -> Iterator[list[list[object]]]:
        """The columns asked for, after partition and offset, one row group at a time. ArchiveError when a page's
        checksum, an offset or the number of rows does not fit."""
        last, records = self.name.first - 1, 0
        with _naming(self.name.path), _opened(self.name.path) as parquet:
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=["partition", "offset", *columns], use_threads=False)
                found = [table.column(name).to_pylist() for name in ["partition", "offset", *columns]]
                partitions, offsets = found[0], found[1]
                if (
                    any(partition != self.name.partition for partition in partitions)
                    or any(after <= before for before, after in zip([last, *offsets], offsets, strict=False))
                    or not self.name.first <= offsets[0] <= offsets[-1] <= self.name.last
                ):
                    raise ValueError("its rows are not those its name says")
                last, records = offsets[-1], records + len(offsets)
                yield found
            if records != self.summary.records or last != self.name.last:
                raise ValueError(f"it holds {records} records through {last}, not {self.summary.records}")

    def rows(self) -> Iterator[Row]:
        """All its rows."""
        for batch in self.batches([field.name for field in SCHEMA][2:]):
            for values in zip(*batch, strict=True):
                yield Row(*values)


def find_files(root: Path) -> list[FileName]:
    """Archive files under a folder, or the one named, sorted by partition and offset. ArchiveError where root is not
    there."""
    if root.is_file():
        found = [root]
    elif root.is_dir():
        found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    else:
        raise ArchiveError(f"archive {root} does not exist; name the folder the archiver writes to")
    return sorted(name for name in map(parse_file, found) if name is not None)


def not_archived(roots: Sequence[Path]) -> list[ArchiveError]:
    """An error for each of these folders and files that holds nothing of an archive. ArchiveError as find_files."""
    return [
        ArchiveError(f"{root} holds no files of the archive; name log files one by one")
        for root in roots
        if not find_files(root)
    ]


@contextmanager
def _opened(path: Path) -> "Iterator[pq.ParquetFile]":
    with pq.ParquetFile(path, page_checksum_verification=True, buffer_size=READ_BUFFER_BYTES) as parquet:
        yield parquet


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What goes wrong while a file is read, as an ArchiveError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArchiveError(f"archive file {path} has gone while it was being read; read the archive again") from error
    except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise ArchiveError(
            f"archive file {path} is damaged: {reason}; restore it from a copy, or delete it and archive its records "
            "again where the log still has them"
        ) from error
