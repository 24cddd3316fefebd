"""Everything that was read, sealed and written: by this process, or by several that are forked for it.

In: a Folding that has taken its inputs, and the output. Each process takes a run of epochs (or of an archive's
channels) and writes their leaf dumps and its own part of the private file; seals come back as lines.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from schemas.dead import DeadLetter
from schemas.sealed import SealedEpoch
from streams.replay.folding import Folding
from streams.replay.forking import can_fork, in_processes, shares
from streams.replay.output import OutputWriter, SealFiles, Written
from streams.replay.store import Key
from streams.replay.tally import Tally

if TYPE_CHECKING:
    from streams.replay.archived import Group


class _Share(NamedTuple):
    """What one process comes to."""

    written: list[Written]
    tally: Tally
    dead: list[DeadLetter]


def seal_all(folding: Folding, writer: OutputWriter, jobs: int) -> None:
    """Seal and write. Raises OutputError, SpillError or ProcessLost."""
    keys = folding.store.keys()
    folders = {channel: writer.leaf_folder(channel, folding.store.login_of(channel)) for channel, _ in keys}
    if jobs > 1 and len(keys) > 1 and can_fork():
        runs = shares([folding.store.weight(key) for key in keys], jobs)
        works = [
            partial(_seal_keys, folding, [keys[place] for place in run], writer.folder, part, folders)
            for run, part in zip(runs, writer.parts(len(runs)), strict=True)
        ]
        for share in in_processes(works):
            _take(share, folding, writer)
    else:
        for sealed in folding.line_seals(keys):
            writer.seal(sealed)
    _seal_archives(folding, writer, jobs)


def _seal_archives(folding: Folding, writer: OutputWriter, jobs: int) -> None:
    for archive in folding.archives():
        groups = archive.shareable() if jobs > 1 and can_fork() else None
        if groups is None or len(groups) < 2:
            for sealed in archive.seals():
                folding.tally.take_seal(sealed)
                writer.seal(sealed)
            continue
        folders = {group.channel: writer.leaf_folder(group.channel, group.login) for group in groups}
        runs = shares([group.nbytes for group in groups], jobs)
        works = [
            partial(_seal_groups, folding, archive.root, [groups[place] for place in run], writer.folder, part, folders)
            for run, part in zip(runs, writer.parts(len(runs)), strict=True)
        ]
        for share in in_processes(works):
            _take(share, folding, writer)


def _take(share: _Share, folding: Folding, writer: OutputWriter) -> None:
    writer.take(share.written)
    folding.tally.add(share.tally)
    for letter in share.dead:
        writer.dead(letter)


def _seal_keys(folding: Folding, keys: list[Key], folder: Path, private: Path, folders: dict[str, str]) -> _Share:
    folding.tally = Tally()
    return _Share(_write(folding.line_seals(keys), folder, private, folders), folding.tally, [])


def _seal_groups(
    folding: Folding, root: Path, groups: "list[Group]", folder: Path, private: Path, folders: dict[str, str]
) -> _Share:
    tally, dead = Tally(), list[DeadLetter]()
    archive = folding.archive(root, tally, dead.append, groups)

    def counted() -> Iterator[SealedEpoch]:
        for sealed in archive.seals():
            tally.take_seal(sealed)
            yield sealed

    return _Share(_write(counted(), folder, private, folders), tally, dead)


def _write(sealed: Iterable[SealedEpoch], folder: Path, private: Path, folders: dict[str, str]) -> list[Written]:
    files = SealFiles(folder, private)
    written = [files.write(one, folders[one.header.channel]) for one in sealed]
    files.close()
    return written
