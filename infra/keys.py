"""The secrets of an installation: made once, mode 0600, never overwritten.

In: the paths from the settings. Out: the pepper (32 bytes; every viewer_ref of every seal hangs on it, losing it means
that nobody can be shown their own participation any more), the operator key (a token for the API's own doors) and the
session key (losing it signs everybody out, nothing more).
"""

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from streams.chain import private_file
from streams.chain.errors import KeyFileError as KeyFileError

PEPPER_BYTES = 32
OPERATOR_KEY_BYTES = 32
MARKER_SECRET_BYTES = 32
SESSION_KEY_BYTES = 32
MAX_SESSION_KEYS = 4
MAX_FILE_BYTES = 4096


@dataclass(frozen=True)
class KeyState:
    """What `twzrd keys show` says of one file; never the secret itself.

    `fingerprint` of the pepper is the pepper_commit of design.md, as hex: the one that stands in every seal header.
    """

    name: str
    path: Path
    made_now: bool
    fingerprint: str


def init(pepper_file: Path, operator_key_file: Path) -> list[KeyState]:
    """Make the files that are not there yet; those that are there are checked and left as they are."""
    made = [_make(pepper_file, PEPPER_BYTES), _make(operator_key_file, OPERATOR_KEY_BYTES)]
    shown = show(pepper_file, operator_key_file)
    return [KeyState(s.name, s.path, new, s.fingerprint) for s, new in zip(shown, made, strict=True)]


def show(pepper_file: Path, operator_key_file: Path) -> list[KeyState]:
    """Where the keys are and their fingerprints."""
    commit = blake3(b"\x04" + read_pepper(pepper_file)).hexdigest()
    operator = hashlib.sha256(read_operator_key(operator_key_file).encode()).hexdigest()[:16]
    return [
        KeyState("pepper", pepper_file, False, commit),
        KeyState("operator", operator_key_file, False, operator),
    ]


def backup(files: Mapping[str, Path], folder: Path) -> list[Path]:
    """Copy key files, mode 0600, into `folder` (made with 0700), each under the name that it has in home/keys; those
    that are not there are passed over, but for the pepper. Each copy is read back and compared. Refuses to overwrite a
    file that is there, before anything is written."""
    _make_folder(folder)
    read_pepper(files["pepper"])
    texts = {name: _whole(path, name) for name, path in files.items() if os.path.lexists(path)}
    for name in texts:
        if os.path.lexists(folder / name):
            raise KeyFileError(f"{folder / name} is already there and is not overwritten; choose an empty folder")
    for name, text in texts.items():
        copy = folder / name
        if not private_file.write_new(copy, text):
            raise KeyFileError(f"{copy} appeared while writing and is not overwritten; choose an empty folder")
        if _whole(copy, name) != text:
            raise KeyFileError(f"{copy} does not hold what was written; take another medium")
    return [folder / name for name in texts]


def _whole(path: Path, name: str) -> str:
    data = _read_closed(path, MAX_FILE_BYTES + 1, name)
    if len(data) > MAX_FILE_BYTES or not data.isascii():
        raise KeyFileError(f"{name} file {path} is longer than {MAX_FILE_BYTES} bytes, or no text; it is no key")
    return data.decode("ascii")


def read_pepper(path: Path) -> bytes:
    """The pepper, 32 bytes. Raises KeyFileError."""
    return _read_hex(path, PEPPER_BYTES, "pepper")


def read_operator_key(path: Path) -> str:
    """The operator key as its 64 hex digits, as it is sent in a request. Raises KeyFileError."""
    return _read_hex(path, OPERATOR_KEY_BYTES, "operator key").hex()


def init_session_key(path: Path) -> KeyState:
    """Make the session key where it is not there yet."""
    made = _make(path, SESSION_KEY_BYTES)
    shown = show_session_key(path)
    return KeyState(shown.name, shown.path, made, shown.fingerprint)


def show_session_key(path: Path) -> KeyState:
    """Where it is, and the fingerprints of its lines, the one in use first."""
    lines = (hashlib.sha256(key).hexdigest()[:16] for key in read_session_keys(path))
    return KeyState("session", path, False, " ".join(lines))


def read_session_keys(path: Path) -> list[bytes]:
    """One to MAX_SESSION_KEYS keys of 32 bytes, one a line, the newest first: put a new line on top and start the API
    again; drop the old one when its last session is over. Raises KeyFileError."""
    lines = _read_closed(path, SESSION_KEY_BYTES * 4 * MAX_SESSION_KEYS, "session key").split()
    if not 1 <= len(lines) <= MAX_SESSION_KEYS:
        raise KeyFileError(f"session key file {path} holds {len(lines)} lines; it may be 1 to {MAX_SESSION_KEYS}")
    return [_hex(path, line, SESSION_KEY_BYTES, "session key") for line in lines]


def init_marker_secret(path: Path) -> bool:
    """Make the marker secret where it is not there yet; whether it was made."""
    return _make(path, MARKER_SECRET_BYTES)


def read_marker_secret(path: Path) -> bytes:
    """The secret that claims' markers are derived from, 32 bytes. Raises KeyFileError."""
    return _read_hex(path, MARKER_SECRET_BYTES, "marker secret")


def _make(path: Path, count: int) -> bool:
    _make_folder(path.parent)
    return private_file.write_new(path, secrets.token_hex(count) + "\n")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"cannot make {folder}: {error.strerror}; choose another --home or folder") from error


def _read_hex(path: Path, count: int, name: str) -> bytes:
    return _hex(path, _read_closed(path, count * 4, name).strip(), count, name)


def _read_closed(path: Path, most: int, name: str) -> bytes:
    return private_file.read_closed(path, most, name, "twzrd keys init")


def _hex(path: Path, text: bytes, count: int, name: str) -> bytes:
    # The value itself is never put into a message.
    mend = f"it must hold {count * 2} hex digits and nothing else; restore it from a backup"
    if len(text) != count * 2:
        raise KeyFileError(f"{name} file {path} holds {len(text)} characters; {mend}")
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise KeyFileError(f"{name} file {path} holds something that is not hex; {mend}") from None
