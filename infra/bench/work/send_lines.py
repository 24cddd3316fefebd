"""A TLS server that sends captured lines as fast as one client reads them, with the time of sending in each.

send_lines FILE LINES CERTIFICATE: prints port=<n>, serves one client, sends LINES lines and ends. Every line's
tmi-sent-ts is the moment its piece is sent; nothing else is computed while sending, so that the sender is not what is
measured (it reaches several times the rates of the row).
"""

import itertools
import mmap
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

PIECE_LINES: Final = 512
_STAMP: Final = b";tmi-sent-ts="


def pieces_of(path: Path, count: int) -> list[tuple[bytearray, np.ndarray]]:
    """Pieces of lines, and in each the places of its time stamps, (n, 13)."""
    pieces = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        lines = iter(data.readline, b"")
        while count > 0 and (some := list(itertools.islice(lines, min(count, PIECE_LINES)))):
            count -= len(some)
            starts = np.cumsum([0] + [len(line) for line in some[:-1]])
            stamps = np.array([line.index(_STAMP) + len(_STAMP) for line in some]) + starts
            pieces.append((bytearray(b"".join(some)), stamps[:, None] + np.arange(13)))
    return pieces


def main() -> None:
    """See above."""
    path, count, certificate = sys.argv[1:]
    pieces = pieces_of(Path(path), int(count))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"port={server.getsockname()[1]}", flush=True)
        raw, _ = server.accept()
    with context.wrap_socket(raw, server_side=True) as connection:
        start_s = time.perf_counter()
        for piece, places in pieces:
            view = np.frombuffer(piece, np.uint8)
            view[places] = np.frombuffer(b"%d" % (time.time_ns() // 1_000_000), np.uint8)
            connection.sendall(piece)
        connection.sendall(b":tmi.twitch.tv RECONNECT\r\n")
        print(f"sent_s={time.perf_counter() - start_s:.3f}", flush=True)
        connection.recv(1)  # until the client goes


if __name__ == "__main__":
    main()
