"""A file for its owner alone: made once, whole or not at all, mode 0600; refused where others may read it.

In: a path, a text. Out: bytes, or KeyFileError with the mend. What such a file holds is never put into a message.
"""

import os
import secrets
import stat
from pathlib import Path

from streams.chain.errors import KeyFileError


def read_closed(path: Path, most: int, name: str, made_by: str) -> bytes:
    """What the file begins with, at most so many bytes. name: what it is, in errors ("pepper"); made_by: the command
    that makes one. Raises KeyFileError, also where others can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise KeyFileError(f"{name} file {path} is not there; make it with: {made_by}") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {name} file {path}: {error.strerror}; whose file is it?") from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise KeyFileError(f"{name} file {path} is a folder; name the file in it")
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise KeyFileError(f"{name} file {path} is open to others (mode {mode:04o}); close it: chmod 600 {path}")
        return file.read(most)


def write_new(path: Path, text: str) -> bool:
    """Write a file that is whole or not there, even if we are killed; its folder is made with mode 0700. False if one
    is there already. text: ASCII. Raises KeyFileError."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(unfinished, path)  # unlike rename, refuses an existing name
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}; is the disk full or read-only?") from error
    return True
