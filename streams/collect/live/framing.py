"""Bytes as they are read -> whole lines."""

from typing import Final

LINE_LIMIT: Final = 64 * 1024
"""A line that is longer is dropped up to its end, and counted."""


class LineBuffer:
    """Keeps the unfinished end of one connection's bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False
        self.dropped_total = 0

    def feed(self, data: bytes) -> bytes:
        """The whole lines, line ends included, that are complete with `data`; empty where none is."""
        end = data.rfind(b"\n") + 1
        if self._dropping:
            start = data.find(b"\n") + 1
            if not start:
                return b""
            self._dropping = False
            data, end = data[start:], end - start
        lines, tail = data[:end], data[end:]
        if lines and self._rest:
            lines, self._rest = self._rest + lines, b""
        self._rest += tail
        if len(self._rest) > LINE_LIMIT:
            self._rest = b""
            self._dropping = True
            self.dropped_total += 1
        return lines
