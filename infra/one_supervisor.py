"""One `twzrd up` or `twzrd demo` of a home at a time: two would run every part twice and take each other's ports.

In: the home. Out: a lock that the kernel takes back, however its holder ends.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import TwzrdError


class HomeInUse(TwzrdError):
    """Another supervisor runs over this home."""


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Holds home/run/supervisor while the block runs. Raises HomeInUse naming who holds it; OSError."""
    path = home / "run" / "supervisor"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(
                f"process {file.read(20).strip() or '?'} runs `twzrd up` or `twzrd demo` over {home} already; stop it "
                "(Ctrl-C), or give this one another --home"
            ) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
