"""Free TCP ports of this machine, for servers that we start beside ourselves."""

import contextlib
import socket
from typing import Final

from schemas.errors import TwzrdError

PORT_TRIES: Final = 20


class PortError(TwzrdError):
    """No port is free, or not the one that is wanted."""


def must_be_free(host: str, port: int) -> None:
    """Raises PortError where nothing of ours could listen there; port 0 is any."""
    if _try(host, port) is None:
        raise PortError(
            f"port {port} of {host} is taken by another program, or {host} is no address of this machine; give another "
            "one with --port or TWZRD_API_PORT, 0 for any"
        )


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or a free one where it is taken. Raises PortError."""
    for candidate in (wanted, 0):
        if (found := _try(host, candidate)) is not None:
            return found
    raise PortError(f"no free port on {host}; set TWZRD_API_HOST to an address of this machine")


def free_pair(wanted: int) -> int:
    """A port of 127.0.0.1 that is free together with the next one, as a localnet wants it: the wanted one if it can be.
    Raises PortError."""
    for candidate in (wanted, *[0] * PORT_TRIES):
        found = _try("127.0.0.1", candidate)
        if found is not None and found < 65_535 and _try("127.0.0.1", found + 1) is not None:
            return found
    raise PortError(f"no two free ports side by side on 127.0.0.1 in {PORT_TRIES} tries; try again")


def _try(host: str, port: int) -> int | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    return None
