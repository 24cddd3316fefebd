"""A key pair on disk, in the form of Solana's command line: a JSON array of 64 bytes, secret half first.

In: a path. Out: a Keypair. Made once, mode 0600, never overwritten; a file that others may read is refused.
"""

import json
from pathlib import Path
from typing import Final

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from streams.chain import private_file
from streams.chain.errors import KeyFileError

KEY_BYTES: Final = 64
MAX_FILE_BYTES: Final = 1024


def read(path: Path, name: str) -> Keypair:
    """The key pair in `path`; `name` says in errors which key it is ("fee payer").

    Raises KeyFileError; the value itself is never in its message.
    """
    text = private_file.read_closed(path, MAX_FILE_BYTES + 1, f"{name} key", "twzrd token create")
    return _parse(text, f"{name} key file {path}")


def write_new(path: Path, keypair: Keypair) -> bool:
    """Write the key pair, whole or not at all; False if a file is there already. Raises KeyFileError."""
    return private_file.write_new(path, json.dumps(list(bytes(keypair)), separators=(",", ":")))


def read_or_make(path: Path, name: str) -> tuple[Keypair, bool]:
    """The key pair in `path`, made now where there is none; and whether it was. Raises KeyFileError."""
    made = False if path.exists() else write_new(path, Keypair())
    return read(path, name), made


def public_path(path: Path) -> Path:
    """Where the public half of a key may stand beside it, for those who may not read the key."""
    return path.with_name(path.name + ".pub")


def write_public(path: Path, address: Pubkey) -> None:
    """The public half beside the key, readable for all; a file that is there stays. Raises KeyFileError."""
    public = public_path(path)
    try:
        if not public.exists():
            public.write_text(f"{address}\n", encoding="ascii")
            public.chmod(0o644)
    except OSError as error:
        raise KeyFileError(f"{public} cannot be written: {error}; it holds the public half of {path}") from error


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
