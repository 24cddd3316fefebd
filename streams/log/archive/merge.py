"""Overlapping archive files as one stream in log order, each record once."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from streams.log.archive.files import ArchiveFile
from streams.log.archive.layout import ArchiveError

Report = Callable[[ArchiveError], None]


class Placed(Protocol):
    """A row or record: it has an offset in its file's partition."""

    @property
    def offset(self) -> int: ...


Item = TypeVar("Item", bound=Placed)


def merge(
    files: Sequence[ArchiveFile],
    read: Callable[[ArchiveFile], Iterator[Item]],
    content: Callable[[Item], Any],
    report: Report,
) -> Iterator[tuple[int, Item]]:
    """(partition, item) by (partition, offset). files are sorted; each is opened when the merge comes to its first
    offset. Of items at one place the first is given; where the content of another differs, and where a file is
    damaged, that is reported and the rest goes on."""
    heap: list[tuple[int, int, int]] = []
    heads: dict[int, tuple[Item, Iterator[Item]]] = {}
    opened = 0
    last: tuple[int, int, Any] | None = None

    def advance(index: int, items: Iterator[Item]) -> None:
        heads.pop(index, None)
        try:
            item = next(items, None)
        except ArchiveError as error:
            report(error)
            return
        if item is not None:
            heads[index] = item, items
            heapq.heappush(heap, (files[index].name.partition, item.offset, index))

    while heap or opened < len(files):
        while opened < len(files) and (not heap or files[opened].name[:2] <= heap[0][:2]):
            advance(opened, read(files[opened]))
            opened += 1
        if not heap:
            continue
        partition, offset, index = heapq.heappop(heap)
        item, items = heads[index]
        if last is None or last[:2] != (partition, offset):
            last = partition, offset, content(item)
            yield partition, item
        elif last[2] != content(item):
            report(
                ArchiveError(
                    f"archive file {files[index].name.path} has another record at partition {partition}, offset "
                    f"{offset} than an earlier file: two logs were archived into one folder; separate them"
                )
            )
        advance(index, items)
