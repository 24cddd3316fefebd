"""Make an archive from a file of events, through our own readers and writer: FILE FOLDER."""

import sys
from collections.abc import Iterator
from pathlib import Path

from streams.collect.cutting import Cutter
from streams.collect.files.source import open_source
from streams.log.archive.writing import write_archive
from streams.log.partitioner import partition_of
from streams.log.port import LogRecord

PARTITIONS = 8


def records(source: Path) -> Iterator[tuple[int, LogRecord]]:
    """The file's envelopes as a log of 8 partitions would number them."""
    cutter = Cutter("bench")
    offsets = [0] * PARTITIONS

    def numbered(key: bytes, value: bytes) -> tuple[int, LogRecord]:
        partition = partition_of(key, PARTITIONS)
        offset = offsets[partition]
        offsets[partition] += 1
        return partition, LogRecord(offset, key, value, 1_760_086_800_000)

    for chunk in open_source(source):
        for channel, (login, events) in chunk.channels.items():
            for ready in cutter.add(channel, login, events):
                yield numbered(ready.key, ready.value)
    for ready in (*cutter.rest(), *cutter.ends()):
        yield numbered(ready.key, ready.value)


if __name__ == "__main__":
    write_archive(Path(sys.argv[2]), records(Path(sys.argv[1])))
