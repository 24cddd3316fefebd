"""The archive folded again: its records through shards, as the workers met them, so late events, holes and revisions
come out as they did live. Epochs that no record closes stay open and are counted, not sealed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from schemas import dead as dead_letters
from schemas.dead import DeadLetter
from schemas.policy import PolicySchedule
from schemas.sealed import Late, SealedEpoch, decode_record
from schemas.streams import DEAD
from streams.core.outputs import Output, ResealRequest
from streams.core.reseal import reseal
from streams.core.shard import Shard
from streams.log.archive.files import ArchiveFile, not_archived
from streams.log.archive.layout import ArchiveError
from streams.log.archive.reading import channel_groups, read_archive, read_group
from streams.log.port import LogRecord
from streams.replay.tally import Tally


class _Replayed(Shard):
    """A shard whose seals are kept as they are, not packed into records for a log."""

    def __init__(self, schedule: PolicySchedule, pepper: bytes, partition: int) -> None:
        super().__init__(schedule, pepper, 0, partition=partition)
        self.made: list[SealedEpoch] = []

    def output_of(self, sealed: SealedEpoch, needs_offset: int) -> Output:
        self.made.append(sealed)
        return self._output("", [], needs_offset)


class Group(NamedTuple):
    """Files of one channel, which may be folded apart from all others."""

    files: list[ArchiveFile]
    channel: str
    login: str
    nbytes: int
    """On disk, which tells best how much work they are."""


class ArchiveFold:
    """Folds one archive. Damaged files and records become dead letters, counted in the tally."""

    def __init__(
        self,
        roots: Sequence[Path],
        schedule: PolicySchedule,
        pepper: bytes,
        tally: Tally,
        dead: Callable[[DeadLetter], None],
        groups: Sequence[Group] | None = None,
    ) -> None:
        """roots: folders and files of one archive. groups: fold these only, of those that `shareable` gave."""
        self.roots = roots
        self._schedule = schedule
        self._pepper = pepper
        self._tally = tally
        self._dead = dead
        self._revisions: dict[tuple[str, int], int] = {}
        if groups is None:
            self._groups = channel_groups(roots, self._damaged)
            for fault in not_archived(roots):
                self._damaged(fault)
        else:
            self._groups = [group.files for group in groups]

    def shareable(self) -> list[Group] | None:
        """The groups, where they may be folded and written apart: each of one channel under one login of its own."""
        made = []
        for files in self._groups:
            channels = {channel for file in files for channel in file.summary.channels}
            logins = {login for file in files for login in file.summary.logins}
            if len(channels) != 1 or len(logins) != 1:
                return None
            made.append(
                Group(files, channels.pop(), logins.pop(), sum(file.name.path.stat().st_size for file in files))
            )
        return made if len({group.login for group in made}) == len(made) else None

    def seals(self) -> Iterator[SealedEpoch]:
        """Every seal, channel after channel, in the order they were made."""
        shard: _Replayed | None = None
        for partition, (offset, _, value, _) in self._records():
            if shard is None or partition != shard.partition or offset < shard.next:
                self._ended(shard)
                shard = _Replayed(self._schedule, self._pepper, partition)
                self._revisions.clear()
            shard.skip_to(offset)
            for output in shard.feed(offset, value):
                if isinstance(output, ResealRequest):
                    self._answer(shard, output)
                else:
                    self._notice(output)
                    shard.acknowledged(output.ordinal)
            self._tally.records += 1
            yield from self._keep(shard)
        self._ended(shard)

    def _records(self) -> Iterator[tuple[int, LogRecord]]:
        for group in self._groups:
            yield from read_group(group, self._damaged)

    def _keep(self, shard: _Replayed) -> list[SealedEpoch]:
        made, shard.made = shard.made, []
        for sealed in made:
            self._revisions[sealed.header.channel, sealed.header.epoch_start_s] = sealed.header.revision
        return made

    def _notice(self, output: Output) -> None:
        for _, value in output.records:
            if output.stream == DEAD:
                self._tally.malformed += 1
                self._dead(dead_letters.decode(value))
            else:
                record = decode_record(value)
                if isinstance(record, Late):
                    self._tally.late += record.count

    def _answer(self, shard: _Replayed, request: ResealRequest) -> None:
        revision = self._revisions.get((request.channel, request.epoch_start_s), -1) + 1
        records = (
            (offset, value)
            for partition, offset, value in read_archive(self.roots, request.channel, on_error=self._damaged_again)
            if partition == shard.partition
        )
        sealed = reseal(
            shard.sealer, request.channel, request.login, request.epoch_start_s, revision, records, request.offset
        )
        shard.answered(request, sealed)

    def _ended(self, shard: _Replayed | None) -> None:
        """Count what a shard came to: every event of its records, as lines count theirs, and what stayed open."""
        if shard is not None:
            said = shard.metrics
            self._tally.events += said.events_total + said.late_events_total + said.quarantined_events_total
            self._tally.open_epochs += sum(1 for _ in shard.live_views())

    def _damaged(self, error: ArchiveError) -> None:
        self._tally.malformed += 1
        self._dead(self._tally.take_fault(self.roots[0], error))

    def _damaged_again(self, error: ArchiveError) -> None:
        """Reported when the archive was read the first time."""
