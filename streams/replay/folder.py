"""The folder that a replay writes: its files come under names of their own and take their places when all is whole.

In: seals, those that other processes wrote, dead letters. Out: the folder as `output` describes it. What an earlier
replay left there stays as it is until then; where this one does not come to its end nothing of it is left.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from blake3 import blake3

from schemas.sealed import SealedEpoch
from streams.replay.output import DEAD, LEAVES, PART, PRIVATE, SEALS, OutputError, SealFiles, Written, digest, folder_of

OLD: Final = ".old"
"""Behind LEAVES: an earlier replay's, on its way out."""
_OURS = re.compile(
    rf"({re.escape(SEALS)}|{re.escape(DEAD)}|{LEAVES})({re.escape(PART)})?|{LEAVES}{re.escape(OLD)}"
    rf"|{re.escape(PRIVATE)}({re.escape(PART)}[0-9]+)?"
)
_DUMP = re.compile(r"[0-9]+\.[0-9]+\.leaves\.zst")


class OutputWriter:
    """Writes one replay's folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OutputError where it cannot, or where it holds something else or another replay is
        at work."""
        self.folder = folder
        self._written: list[Written] = []
        self._folders: dict[str, str] = {}
        self._taken: set[str] = set()
        self._parts: list[Path] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise OutputError(f"--out {folder}: {error}; name a folder that can be written") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise OutputError(
                f"--out {folder}: another replay is writing there; wait, or name another folder"
            ) from error
        try:
            self._clear()
            self._own = SealFiles(folder, self._new_part())
            self._dead = (folder / (DEAD + PART)).open("wb")
        except OSError as error:
            os.close(self._lock)
            raise OutputError(f"--out {folder}: {error}; name a folder that can be written") from error
        except OutputError:
            os.close(self._lock)
            raise

    def _clear(self) -> None:
        """Away with what a replay that was killed has left."""
        for name in _foreign(self.folder):
            raise OutputError(f"--out {self.folder} holds {name!r}, which is not a replay's; name an empty folder")
        self._remove_parts()

    def _remove_parts(self) -> None:
        for name in (LEAVES + PART, LEAVES + OLD):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        parts = [self.folder / (name + PART) for name in (DEAD, SEALS)]
        for left in (*parts, *self.folder.glob(PRIVATE + PART + "*")):
            left.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.abandon()
        with suppress(OSError):
            self._dead.close()
        with suppress(OSError):
            self._remove_parts()
        os.close(self._lock)

    def seal(self, sealed: SealedEpoch) -> None:
        """Write one sealed epoch. Raises OutputError when the disk refuses."""
        leaf_folder = self.leaf_folder(sealed.header.channel, sealed.login)
        self._written.append(self._own.write(sealed, leaf_folder))

    def parts(self, count: int) -> list[Path]:
        """Names for private files that as many other processes write; they go in this order behind our own."""
        return [self._new_part() for _ in range(count)]

    def take(self, written: Iterable[Written]) -> None:
        """Take note of seals that another process has written."""
        self._written += written

    def leaf_folder(self, channel: str, login: str) -> str:
        """One folder a channel: where two channels bore one login, the second goes by its id or hash."""
        if channel not in self._folders:
            # No login has a dash in it, so the last of these is nobody else's.
            names = folder_of(channel, login), folder_of(channel, ""), f"channel-{blake3(channel.encode()).hexdigest()}"
            self._folders[channel] = next(name for name in names if name not in self._taken)
            self._taken.add(self._folders[channel])
        return self._folders[channel]

    def dead(self, letter: object) -> None:
        """Write one dead letter. Raises OutputError when the disk refuses."""
        with self._naming():
            self._dead.write(msgspec.json.encode(letter) + b"\n")

    def finish(self) -> str:
        """Give the files their names and return the digest: blake3 of all seal hashes, sorted, concatenated. Raises
        OutputError where one epoch was sealed twice, or when the disk refuses."""
        self._written.sort(key=lambda one: one.place)
        for one, other in pairwise(self._written):
            if one.place == other.place:
                channel, start_s, revision = one.place
                raise OutputError(
                    f"the inputs give revision {revision} of {channel} at {start_s} twice, as lines and from the "
                    "archive; replay them into folders of their own"
                )
        self._own.close()
        with self._naming():
            self._dead.close()
            with self._parts[0].open("ab") as whole:
                for part in self._parts[1:]:
                    with part.open("rb") as one_part:  # frames of zstd may follow each other
                        shutil.copyfileobj(one_part, whole, 1 << 20)
                    part.unlink()
            with (self.folder / (SEALS + PART)).open("wb") as out:
                out.writelines(one.line + b"\n" for one in self._written)
            self._swap()
        return digest([one.seal_hash for one in self._written])

    def _swap(self) -> None:
        """The earlier replay's files for these. Without seals.jsonl, the first to go and the last to come, a folder is
        nobody's result."""
        (self.folder / SEALS).unlink(missing_ok=True)
        if (self.folder / LEAVES).exists():
            (self.folder / LEAVES).replace(self.folder / (LEAVES + OLD))
        if (self.folder / (LEAVES + PART)).exists():
            (self.folder / (LEAVES + PART)).replace(self.folder / LEAVES)
        self._parts[0].replace(self.folder / PRIVATE)
        for name in (DEAD, SEALS):
            (self.folder / (name + PART)).replace(self.folder / name)

    def _new_part(self) -> Path:
        self._parts.append(self.folder / f"{PRIVATE}{PART}{len(self._parts)}")
        return self._parts[-1]

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.folder}: {error}; make room and replay again") from error


def _foreign(folder: Path) -> Iterator[str]:
    """What in the folder is not a replay's: it would be deleted with the rest."""
    for child in folder.iterdir():
        if _OURS.fullmatch(child.name) is None or child.is_dir() != child.name.startswith(LEAVES):
            yield child.name
    for channel in folder.glob(LEAVES + "/*"):
        dumps = list(channel.iterdir()) if channel.is_dir() and not channel.is_symlink() else []
        if not dumps:
            yield f"{LEAVES}/{channel.name}"
        yield from (f"{LEAVES}/{channel.name}/{dump.name}" for dump in dumps if _DUMP.fullmatch(dump.name) is None)
