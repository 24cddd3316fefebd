"""What this signer signed for last, in a file beside the database: a database restored from an older copy shows.

In: the newest attempt, after its commit and before any signature. Out: the mark that the books must hold. A marker
stops a second payment of the same allocations; a claim of some of them with others has another marker, so books that
have forgotten must not be signed from at all.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from schemas.errors import TwzrdError

MAX_FILE_BYTES: Final = 1024


class Mark(msgspec.Struct, frozen=True):
    """One attempt. message_hash: blake3 of what was signed, as hex."""

    claim_id: int
    attempt: int
    message_hash: str


class MarkError(TwzrdError):
    """The file cannot be read or written; the message names it and the mend."""


class LastSigned:
    """The mark in `path`; None keeps it in memory only, for tests and for a signer whose disk does not last."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.mark: Mark | None = None if path is None else _read(path)

    async def put(self, claim_id: int, attempt: int, message: bytes) -> None:
        """On disk when this returns. Raises MarkError: then nothing may be signed."""
        mark = Mark(claim_id, attempt, blake3(message).hexdigest())
        if mark == self.mark:
            return
        if self._path is not None:
            await asyncio.to_thread(_write, self._path, mark)
        self.mark = mark


def holds(mark: Mark, message: bytes | None) -> bool:
    """Whether the books' message of that attempt is the one that was signed."""
    return message is not None and blake3(message).hexdigest() == mark.message_hash


def _read(path: Path) -> Mark | None:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES)
        return msgspec.json.decode(text, type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise MarkError(
            f"{path} says what was signed last and cannot be read: {error}; restore it, or remove it after: "
            "twzrd claims reconcile"
        ) from error


def _write(path: Path, mark: Mark) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{mark.claim_id}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise MarkError(f"cannot write {path}: {error.strerror}; is the disk full or read-only?") from error
