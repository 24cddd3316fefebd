"""A key pair on disk, in the form of Solana's command line: a JSON array of 64 bytes, secret half first.

In: a path. Out: a Keypair. Made once, mode 0600, never overwritten; a file that others may read is refused.
"""

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from solders.keypair import Keypair

from streams.chain.errors import KeyFileError

KEY_BYTES: Final = 64
MAX_FILE_BYTES: Final = 1024


def read(path: Path, name: str) -> Keypair:
    """The key pair in `path`; `name` says in errors which key it is ("fee payer").

    Raises KeyFileError; the value itself is never in its message.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise KeyFileError(f"{name} key file {path} is not there; make it with: twzrd token create") from None
    except OSError as error:
        raise KeyFileError(f"cannot read {name} key file {path}: {error.strerror}; whose file is it?") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"{name} key file {path} is open to others (mode {mode:04o}); close it: chmod 600 {path}"
            )
        text = file.read(MAX_FILE_BYTES + 1)
    return _parse(text, f"{name} key file {path}")


def write_new(path: Path, keypair: Keypair) -> bool:
    """Write the key pair, whole or not at all; False if a file is there already. Raises KeyFileError."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, 0o600)
            json.dump(list(bytes(keypair)), file, separators=(",", ":"))
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


def read_or_make(path: Path, name: str) -> tuple[Keypair, bool]:
    """The key pair in `path`, made now where there is none; and whether it was. Raises KeyFileError."""
    made = False if path.exists() else write_new(path, Keypair())
    return read(path, name), made


def _parse(text: bytes, what: str) -> Keypair:
    mend = f"it must be a JSON array of {KEY_BYTES} bytes, as `solana-keygen new` writes it; restore it from a backup"
    if len(text) > MAX_FILE_BYTES:
        raise KeyFileError(f"{what} is longer than {MAX_FILE_BYTES} bytes; {mend}")
    try:
        numbers = json.loads(text)
    except ValueError:
        raise KeyFileError(f"{what} is not JSON; {mend}") from None
    if not isinstance(numbers, list) or len(numbers) != KEY_BYTES:
        raise KeyFileError(f"{what} holds something else; {mend}")
    if not all(type(number) is int and 0 <= number <= 255 for number in numbers):
        raise KeyFileError(f"{what} holds something that is not a byte; {mend}")
    secret, public = bytes(numbers[:32]), bytes(numbers[32:])
    keypair = Keypair.from_seed(secret)
    if bytes(keypair.pubkey()) != public:
        raise KeyFileError(f"{what} holds a public half that is not its secret half's; {mend}")
    return keypair
