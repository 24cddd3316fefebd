"""The long-term record of chat.events: zstd Parquet files per channel and day, written from the log, read by replay,
verify and reseal. The bytes of every record come back as they were. What writes it live is in `archiver`."""

from streams.log.archive.compact import compact
from streams.log.archive.layout import ArchiveError
from streams.log.archive.reading import read_archive, read_records
from streams.log.archive.writing import WriteStats, write_archive

__all__ = ["ArchiveError", "WriteStats", "compact", "read_archive", "read_records", "write_archive"]
