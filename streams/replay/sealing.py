"""Everything that was read, sealed and written: by this process, or by several that are forked for it.

In: a Folding that has taken its inputs, and the output. Each process takes the next epoch (or the next channel of an
archive) until none is left, and writes leaf dumps and its own part of the private file; seals come back as lines. Only
the order of the private file's records rests on who was faster.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from schemas.dead import DeadLetter
from schemas.sealed import SealedEpoch
from streams.replay.folder import OutputWriter
from streams.replay.folding import Folding
from streams.replay.forking import Turns, can_fork, in_processes
from streams.replay.output import SealFiles, Written
from streams.replay.store import Key
from streams.replay.tally import Tally

if TYPE_CHECKING:
    from streams.replay.archived import Group


class _Share(NamedTuple):
    """What one process comes to: what it wrote and, by the place of what was sealed, its counts and dead letters."""

    written: list[Written]
    parts: list[tuple[int, Tally, list[DeadLetter]]]


def seal_all(folding: Folding, writer: OutputWriter, jobs: int) -> None:
    """Seal and write. Raises OutputError, SpillError or ProcessLost."""
    keys = folding.store.keys()
    folders = {channel: writer.leaf_folder(channel, folding.store.login_of(channel)) for channel, _ in keys}
    if jobs > 1 and len(keys) > 1 and can_fork():
        turns = Turns([folding.store.weight(key) for key in keys])
        parts = writer.parts(min(jobs, len(keys)))
        works = [partial(_seal_keys, folding, keys, turns, writer.folder, part, folders) for part in parts]
        _take(in_processes(works), folding, writer)
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
        turns = Turns([group.nbytes for group in groups])
        works = [
            partial(_seal_groups, folding, archive.roots, groups, turns, writer.folder, part, folders)
            for part in writer.parts(min(jobs, len(groups)))
        ]
        _take(in_processes(works), folding, writer)


def _take(shares: list[_Share], folding: Folding, writer: OutputWriter) -> None:
    """Counts and dead letters in the order in which one process would have met them."""
    for share in shares:
        writer.take(share.written)
    for _, tally, dead in sorted((part for share in shares for part in share.parts), key=lambda part: part[0]):
        folding.tally.add(tally)
        for letter in dead:
            writer.dead(letter)


def _seal_keys(
    folding: Folding, keys: list[Key], turns: Turns, folder: Path, private: Path, folders: dict[str, str]
) -> _Share:
    folding.tally = Tally()
    seals = folding.line_seals(keys[place] for place in turns)
    return _Share(_write(seals, folder, private, folders), [(0, folding.tally, [])])


def _seal_groups(
    folding: Folding,
    roots: Sequence[Path],
    groups: "list[Group]",
    turns: Turns,
    folder: Path,
    private: Path,
    folders: dict[str, str],
) -> _Share:
    parts: list[tuple[int, Tally, list[DeadLetter]]] = []

    def seals() -> Iterator[SealedEpoch]:
        for place in turns:
            tally, dead = Tally(), list[DeadLetter]()
            for sealed in folding.archive(roots, tally, dead.append, [groups[place]]).seals():
                tally.take_seal(sealed)
                yield sealed
            parts.append((place, tally, dead))

    return _Share(_write(seals(), folder, private, folders), parts)


def _write(sealed: Iterable[SealedEpoch], folder: Path, private: Path, folders: dict[str, str]) -> list[Written]:
    files = SealFiles(folder, private)
    written = [files.write(one, folders[one.header.channel]) for one in sealed]
    files.close()
    return written
