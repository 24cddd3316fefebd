"""Is the broker there for clients? Asked over its own protocol, without a client library.

In: a port on 127.0.0.1. Out: yes only when a Metadata answer (Kafka protocol, key 3, version 4) lists a live broker:
the port alone opens before the node has joined its own cluster.
"""

import socket
import struct

ANSWER_TIMEOUT_S = 5.0
_METADATA = struct.pack("!hhih", 3, 4, 1, -1) + struct.pack("!i?", 0, False)  # header without client id; no topics


def answers(port: int) -> bool:
    """Whether the broker on 127.0.0.1:port lists itself as alive."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S) as door:
            door.sendall(struct.pack("!i", len(_METADATA)) + _METADATA)
            length, correlation_id, _throttle_ms, brokers = struct.unpack("!iiii", _read(door, 16))
            return bool(length >= 12 and correlation_id == 1 and brokers >= 1)
    except OSError:
        return False


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _read(door: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = door.recv(count - len(data))
        if not piece:
            raise ConnectionResetError("the broker closed the connection")
        data += piece
    return data
