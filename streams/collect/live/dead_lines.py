"""Dead letters of lines that could not be read and events that were put aside: reason, hash and length, never text
(law 5). Used by the Intake."""

from collections.abc import Iterator
from typing import Final

from schemas.dead import DeadLetter, dead_letter, encode
from streams.collect.live.counters import IntakeCounters

MAX_LETTERS: Final = 100
"""Letters of one flush (250 ms); further lines, and further events, are said in one letter together."""


class DeadLines:
    """Letters that wait for the next flush."""

    def __init__(self, source: str, counters: IntakeCounters) -> None:
        self._source = source
        self._counters = counters
        self._letters: list[DeadLetter] = []
        self._more_lines = self._more_bytes = self._more_events = 0

    def add_line(self, connection: int, reason: str, line: bytes) -> None:
        """A line given without its end."""
        self._counters.malformed_lines += 1
        if len(self._letters) < MAX_LETTERS:
            where: dict[str, str | int] = {"source": self._source, "connection": connection}
            self._letters.append(dead_letter("line", where, reason, line))
        else:
            self._more_lines += 1
            self._more_bytes += len(line)

    def add_events(self, channel: str, reason: str, ids: bytes) -> None:
        """Events that could be read and not be taken; ids: 16 bytes each."""
        if len(self._letters) < MAX_LETTERS:
            where: dict[str, str | int] = {"source": self._source, "channel": channel, "events": len(ids) // 16}
            self._letters.append(dead_letter("event", where, reason, ids))
        else:
            self._more_events += len(ids) // 16

    def take(self) -> Iterator[bytes]:
        """What to append to the stream `dead`."""
        letters, self._letters = self._letters, []
        if self._more_lines:
            where: dict[str, str | int] = {"source": self._source, "lines": self._more_lines, "bytes": self._more_bytes}
            reason = f"{self._more_lines} more lines were malformed within one flush"
            letters.append(dead_letter("line", where, reason, b""))
            self._counters.summed_dead_lines += self._more_lines
            self._more_lines = self._more_bytes = 0
        if self._more_events:
            reason = f"{self._more_events} more events were put aside within one flush"
            letters.append(dead_letter("event", {"source": self._source, "events": self._more_events}, reason, b""))
            self._counters.summed_dead_events += self._more_events
            self._more_events = 0
        for letter in letters:
            self._counters.dead_letters += 1
            yield encode(letter)
