"""The server's only door, a unix socket: where it can stand, and whether anybody is behind it.

In: the cluster's directory, of any length and spelling. Out: a folder whose path fits a socket address and a DSN.
"""

import os
import re
import shutil
import socket
import stat
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

from infra.postgres.binaries import Account

SOCKET_FILE = ".s.PGSQL.5432"
# sockaddr_un.sun_path holds 108 bytes with the final zero (unix(7)).
SOCKET_PATH_LIMIT_BYTES = 107
ANSWER_TIMEOUT_S = 5.0
# asyncpg and libpq split hosts at commas; anything else odd is avoided rather than escaped.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._-]*")
_FOLDER_PREFIX = "twzrd-pg-"


def fits_socket(folder: Path) -> bool:
    """Whether a socket in this folder can be bound and named in a DSN."""
    path = str(folder / SOCKET_FILE)
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT_BYTES and _PLAIN_PATH.fullmatch(path) is not None


def short_socket_folder(record: Path, account: Account | None) -> str:
    """A folder for the socket with a short, plain path, mode 0700, owned by the server's account.

    `record` keeps its name, so that a server which died comes back under the DSN that others still hold.
    """
    owner = account.uid if account else os.geteuid()
    if record.exists():
        folder = record.read_text().strip()
        with suppress(OSError):
            found = os.lstat(folder)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and stat.S_IMODE(found.st_mode) == 0o700:
                return folder
    # TMPDIR may itself be long or odd; /tmp is where everybody looks for sockets.
    parent = tempfile.gettempdir() if fits_socket(Path(tempfile.gettempdir()) / (_FOLDER_PREFIX + "x" * 8)) else "/tmp"
    folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent)
    os.chown(folder, owner, account.gid if account else -1)
    record.write_text(folder + "\n")
    return folder


def remove_socket_folder(socket_dir: str) -> None:
    """Remove a folder made by short_socket_folder; any other path is left alone."""
    folder = Path(socket_dir)
    if folder.is_absolute() and folder.name.startswith(_FOLDER_PREFIX) and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def answers(socket_dir: Path) -> bool:
    """Ask whether it speaks TLS: the shortest question that a Postgres answers, and it takes a living postmaster."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(ANSWER_TIMEOUT_S)
            door.connect(str(socket_dir / SOCKET_FILE))
            door.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest, Postgres protocol 3.0, "Message Formats"
            return door.recv(1) in (b"N", b"S")
    except OSError:
        return False
