"""Reading the archive: the records of chat.events again, byte for byte, each once, in log order per channel.

Files may overlap (a killed archiver writes some records twice; days overlap where events come late), so the files of
a channel are merged by (partition, offset). Memory is a row group (4 MiB of envelopes) per file that overlaps at the
place being read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from schemas.identity import ID_PREFIX, LOGIN_PREFIX
from streams.log.archive.files import ArchiveFile, find_files
from streams.log.archive.layout import ArchiveError
from streams.log.archive.merge import Report, merge
from streams.log.port import LogRecord


class Query(NamedTuple):
    """What to read: a channel by identity or login (None: all), and moments [from_ms, to_ms). A record is given when
    anything it speaks of (events, observation) may lie there; one without any time always: it may be of a newer
    version."""

    channel: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def wants_channel(self, channel: str, login: str) -> bool:
        """Whether the record of this channel is asked for."""
        by_identity = self.channel is not None and self.channel.startswith((ID_PREFIX, LOGIN_PREFIX))
        return self.channel is None or self.channel == (channel if by_identity else login)

    def wants_time(self, start_ms: int, end_ms: int) -> bool:
        """Whether [start_ms, end_ms) touches what is asked for."""
        return (self.to_ms is None or start_ms < self.to_ms) and (self.from_ms is None or end_ms > self.from_ms)

    def wants_file(self, file: ArchiveFile) -> bool:
        """Whether the file may hold something asked for."""
        summary = file.summary
        if not summary.undated and summary.span_ms is not None and not self.wants_time(*summary.span_ms):
            return False
        named = {*summary.channels, *summary.logins}
        return self.channel is None or self.channel in named


EVERYTHING: Final = Query()


def read_archive(
    root: Path | Sequence[Path],
    channel: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    on_error: Report | None = None,
) -> Iterator[tuple[int, int, bytes]]:
    """(partition, offset, value) of each record, channel after channel, each in (partition, offset) order.

    root: the archive, a folder of it, one file, or several of these. channel: identity or login; from_ms, to_ms: see
    Query. A damaged file is reported to on_error and the rest goes on; without on_error ArchiveError is raised at the
    end.
    """
    for partition, record in read_records(root, channel, from_ms, to_ms, on_error=on_error):
        yield partition, record.offset, record.value


def read_records(
    root: Path | Sequence[Path],
    channel: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    on_error: Report | None = None,
) -> Iterator[tuple[int, LogRecord]]:
    """As read_archive, with key and log time too."""
    query, errors = Query(channel, from_ms, to_ms), list[ArchiveError]()
    report = on_error or errors.append
    for group in channel_groups(root, report, query):
        yield from read_group(group, report, query)
    if errors:
        raise ArchiveError(
            f"{len(errors)} faults in archive {root}, the rest was read: " + "; ".join(map(str, errors[:5]))
        )


def channel_groups(root: Path | Sequence[Path], report: Report, query: Query = EVERYTHING) -> list[list[ArchiveFile]]:
    """The files that may hold something asked for, those that share a channel together, in the order they are read.
    Groups may be read apart from each other, by several processes too. A damaged file is reported and left out."""
    files: list[ArchiveFile] = []
    roots = [root] if isinstance(root, Path) else root
    for name in sorted({name.path.resolve(): name for one in roots for name in find_files(one)}.values()):
        try:
            file = ArchiveFile(name)
        except ArchiveError as error:
            report(error)
            continue
        if query.wants_file(file):
            files.append(file)
    return _by_channel(files)


def read_group(
    files: Sequence[ArchiveFile], report: Report, query: Query = EVERYTHING
) -> Iterator[tuple[int, LogRecord]]:
    """(partition, record) of one group, in (partition, offset) order. What is damaged is reported, the rest goes on."""
    yield from merge(files, lambda file: _records(file, query), lambda record: record[1:3], report)


def _by_channel(files: Sequence[ArchiveFile]) -> list[list[ArchiveFile]]:
    """Files that share a channel together (after a rename a channel has two folders), each group in file order."""
    leader: dict[str, str] = {}

    def find(channel: str) -> str:
        while (above := leader.setdefault(channel, channel)) != channel:
            leader[channel] = leader[above]
            channel = above
        return channel

    for file in files:
        first = find(file.summary.channels[0])
        for channel in file.summary.channels[1:]:
            other = find(channel)
            leader[max(first, other)] = first = min(first, other)
    groups: dict[str, list[ArchiveFile]] = {}
    for file in files:
        groups.setdefault(find(file.summary.channels[0]), []).append(file)
    return [groups[channel] for channel in sorted(groups)]


def _records(file: ArchiveFile, query: Query) -> Iterator[LogRecord]:
    if query == Query():
        for _, offsets, times_ms, keys, values in file.batches(["log_time_ms", "key", "envelope"]):
            yield from map(LogRecord, offsets, keys, values, times_ms)  # type: ignore[arg-type]
        return
    for row in file.rows():
        span_ms = row.span_ms()
        if query.wants_channel(row.channel, row.login) and (span_ms is None or query.wants_time(*span_ms)):
            yield LogRecord(row.offset, row.key, row.envelope, row.log_time_ms)
