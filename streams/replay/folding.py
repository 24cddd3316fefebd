"""Inputs folded: what replay seals and verify compares. Lines through the readers, the archive through shards."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.dead import DeadLetter
from schemas.policy import PolicySchedule
from schemas.sealed import SealedEpoch, Stats
from streams.collect.chunk import Chunk, broken_off
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import ReadOptions
from streams.collect.files.names import check_sources, looks_archived
from streams.core.fold import EpochFold, fold
from streams.core.pairs import viewer_numbers
from streams.core.sealing import Sealer
from streams.replay.store import DEFAULT_BUDGET_BYTES, EpochStore, Key
from streams.replay.tally import Tally

if TYPE_CHECKING:
    from streams.replay.archived import ArchiveFold, Group
    from streams.replay.reading import RowReaders

Progress = Callable[[str, int, int], None]
"""Called now and then with (input, bytes of it taken in, lines of it so far)."""


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """How inputs are folded: by whose rules, from which forms, by how many processes, in how much memory."""

    schedule: PolicySchedule
    pepper: bytes
    read: ReadOptions = field(default_factory=ReadOptions)
    jobs: int = 1
    budget_bytes: int = DEFAULT_BUDGET_BYTES


class Folding:
    """Folds inputs; then gives the seals, ascending by channel and epoch. Dead letters go to `dead` as they come."""

    def __init__(
        self, options: FoldOptions, dead: Callable[[DeadLetter], None], progress: Progress | None = None
    ) -> None:
        self.tally = Tally()
        self.store = EpochStore(options.schedule.epoch_length_ms, options.budget_bytes)
        self.sealer = Sealer(options.schedule, options.pepper)
        self._options = options
        self._dead = dead
        self._progress = progress
        self._archives: list[Path] = []

    def take(self, sources: Sequence[str]) -> None:
        """Read every input. Raises SourceError before anything is read where one does not exist; an input that
        breaks later is named by line as a dead letter and in tally.failed_inputs, and the others go on."""
        check_sources(sources)
        readers = None
        try:
            for source in sources:
                if looks_archived(source):
                    self._archives.append(Path(source))
                    continue
                readers = readers or self._readers()
                self._take_lines(source, readers)
            if readers is not None:
                self.store.put_by(readers.files, readers.rest(), {})
        finally:
            if readers is not None:
                readers.close()

    def _readers(self) -> "RowReaders":
        from streams.replay.reading import RowReaders  # 20 ms to import: only where there are lines

        return RowReaders(self._options.jobs, self._options.schedule.epoch_length_ms)

    def _take_lines(self, source: str, readers: "RowReaders") -> None:
        taken = 0
        lines = self.tally.lines
        try:
            for chunk, logins, rows, runs in readers.pieces(source, self._options.read):
                self.tally.events += rows
                self.store.put_by(readers.files, runs, logins)
                self._take_chunk(source, chunk)
                taken += chunk.bytes_read
                if self._progress is not None:
                    self._progress(source, taken, self.tally.lines - lines)
        except SourceError as error:
            self._take_chunk(source, broken_off(self.tally.lines - lines + 1, str(error)))

    def _take_chunk(self, source: str, chunk: Chunk) -> None:
        for letter in self.tally.take_lines(source, chunk):
            self._dead(letter)
        for channel, (login, events) in chunk.channels.items():
            if len(events):
                self.tally.events += len(events)
                self.store.add(channel, login, events)

    def seals(self) -> Iterator[SealedEpoch]:
        """Every sealed epoch: of the lines one revision each, of archives what their records say."""
        yield from self.line_seals(self.store.keys())
        for sealed in self.archived_seals():
            self.tally.take_seal(sealed)
            yield sealed

    def line_seals(self, keys: Iterable[Key]) -> Iterator[SealedEpoch]:
        """Seals of those epochs of the lines."""
        for channel, start_ms in keys:
            events = self.store.take((channel, start_ms))
            sealed = self.sealer.seal(channel, self.store.login_of(channel), start_ms // 1000, 0, events, [])
            if sealed is not None:
                self.tally.take_seal(sealed)
                yield sealed
            else:
                self.tally.take_stats(self._stats(start_ms // 1000, events))

    def _stats(self, epoch_start_s: int, events: EpochFold) -> Stats:
        """What became of the events of an epoch without participants: all of them excluded, doubled or not folded."""
        columns, pairs = events.columns()
        return fold(columns, pairs, *viewer_numbers(pairs), self.sealer.schedule.at(epoch_start_s)).stats

    def archived_seals(self) -> Iterator[SealedEpoch]:
        """The seals of the archives among the inputs, every revision."""
        for archive in self.archives():
            yield from archive.seals()

    def archives(self) -> Iterator["ArchiveFold"]:
        """The archive among the inputs, to be folded; several folders or files are one archive's."""
        if self._archives:
            yield self.archive(self._archives, self.tally, self._dead)

    def archive(
        self,
        roots: Sequence[Path],
        tally: Tally,
        dead: Callable[[DeadLetter], None],
        groups: "Sequence[Group] | None" = None,
    ) -> "ArchiveFold":
        """The archive, or some groups of it, under this folding's rules."""
        from streams.replay.archived import ArchiveFold  # Parquet takes 0.2 s to import: only where there is some

        return ArchiveFold(roots, self._options.schedule, self._options.pepper, tally, dead, groups)
