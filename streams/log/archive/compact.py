"""Compaction: the many files a running archiver leaves of a past day become one per channel and partition.

Deterministic: the new file is a function of the records, not of how they were split. Killed at any point it leaves
every record in at least one file: the new file is durable before an old one goes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from streams.log.archive.files import ArchiveFile, find_files
from streams.log.archive.layout import DAY_FOLDER, ArchiveError, Row
from streams.log.archive.merge import merge
from streams.log.archive.writing import sync_folder, write_file


def compact(root: Path, day: str) -> int:
    """Join the files of one day (YYYY-MM-DD, UTC) of every channel; returns how many files fewer there are.

    ArchiveError names a damaged file; its folder is then left as it is, the other folders are compacted first.
    """
    if not DAY_FOLDER.fullmatch(day):
        raise ArchiveError(f"day {day!r} is not of the form YYYY-MM-DD")
    fewer, errors = 0, list[ArchiveError]()
    for folder in sorted(root.glob(f"*/{day}")):
        try:
            fewer += _compact_folder(folder)
        except ArchiveError as error:
            errors.append(error)
    if errors:
        raise ArchiveError(f"{len(errors)} folders of {day} were not compacted: " + "; ".join(map(str, errors[:5])))
    return fewer


def _compact_folder(folder: Path) -> int:
    partitions: dict[int, list[ArchiveFile]] = {}
    for name in find_files(folder):
        partitions.setdefault(name.partition, []).append(ArchiveFile(name))
    return sum(_join(folder, files) for files in partitions.values() if len(files) > 1)


def _join(folder: Path, files: Sequence[ArchiveFile]) -> int:
    joined = write_file(folder, _rows(files))
    old = [file.name.path for file in files if file.name.path != joined]
    for path in old:
        path.unlink()
    sync_folder(folder)
    return len(files) - 1


def _rows(files: Sequence[ArchiveFile]) -> Iterator[Row]:
    def refuse(error: ArchiveError) -> None:
        raise error

    for _partition, row in merge(files, ArchiveFile.rows, lambda row: (row.key, row.envelope), refuse):
        yield row
