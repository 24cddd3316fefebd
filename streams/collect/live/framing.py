"""Socket bytes -> whole lines. First step of the live collector, one buffer a connection; before the Intake.

Bytes may be split anywhere. A line that does not end within the bound is cut off there: its beginning goes on as a line
over the bound (which the Intake makes a dead letter), the rest is skipped, so memory stays bounded.
"""

from typing import Final

from streams.collect.chunk import MAX_LINE_BYTES

_HOLDS: Final = MAX_LINE_BYTES + 1
"""A line of the greatest length and its carriage return."""


class LineBuffer:
    """Holds the unfinished line between reads, at most MAX_LINE_BYTES + 1 bytes.

    cut_lines counts lines cut off at the bound, skipped_bytes what was left out of them.
    """

    __slots__ = ("_held", "_skipping", "cut_lines", "skipped_bytes")

    def __init__(self) -> None:
        self._held = bytearray()
        self._skipping = False
        self.cut_lines = 0
        self.skipped_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take in what was read; gives the lines that are whole now, with their ends, or b"" where there is none."""
        if self._skipping:
            end = data.find(b"\n") + 1
            self.skipped_bytes += end - 1 if end else len(data)
            if not end:
                return b""
            self._skipping = False
            data = data[end:]
        end = data.rfind(b"\n") + 1
        if end and not self._held:
            lines = data if end == len(data) else data[:end]
        elif end:
            lines = b"".join((self._held, data[:end]))
            self._held.clear()
        else:
            lines = b""
        if end != len(data):
            self._held += data[end:]
            if len(self._held) > _HOLDS:
                lines += self._cut()
        return lines

    def _cut(self) -> bytes:
        """The beginning of the endless line, one byte over what a line may have, with an end."""
        beginning = bytes(self._held[: _HOLDS + 1])
        self.skipped_bytes += len(self._held) - len(beginning)
        self._held.clear()
        self._skipping = True
        self.cut_lines += 1
        return beginning + b"\n"

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._held)
