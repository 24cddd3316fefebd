"""Format `stamped`: untagged IRC as a socket gave it, a local time stamp before each read, inherited by the next lines.

`2019-05-16_08:47:10 — :a!a@a.tmi.twitch.tv PRIVMSG #chan :text`. A read may cut a line in two: the piece without its
front is dead, so is one without a text, and so is a line in which another one starts. Identities are logins. Ids are
derived from the line with its stamp, inherited or not: `<stamp> — <line>`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from streams.collect.chunk import BLANK_LINES, LINE_TOO_LONG, MAX_LINE_BYTES, Chunk, Rows, assemble, dead_line
from streams.collect.files.formats import LineFormat, ReadOptions, read_whole_block
from streams.collect.files.lines import LineBlock
from streams.collect.files.local_time import at_ms, zone
from streams.collect.irc import Malformed
from streams.collect.twitch import Event, read_line

_STAMP = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}:[0-9]{2}):([0-9]{2}) \xe2\x80\x94 ")
_SECOND_LINE = re.compile(rb":([A-Za-z0-9_]+)!\1@\1\.tmi\.twitch\.tv (?:PRIVMSG|JOIN|PART) #")


class _Reader:
    """Reads blocks in order; the stamp in force goes from block to block."""

    def __init__(self, tz: str) -> None:
        zone(tz)
        self._tz = tz
        self._stamp = b""
        self._at_ms: int | None = None

    def __call__(self, blocks: Iterable[LineBlock]) -> Iterator[Chunk]:
        return map(partial(read_whole_block, self.read_block), blocks)

    def read_block(self, block: LineBlock) -> Chunk:
        chunk, rows = Chunk(block.first_line_number, 0, len(block.data)), Rows()
        lines = block.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        chunk.lines = len(lines)
        for number, line in enumerate(lines, block.first_line_number):
            raw = line.removesuffix(b"\r")
            if not raw:
                chunk.counts[BLANK_LINES] += 1
                continue
            try:
                self._read_line(chunk, rows, number, raw)
            except Malformed as error:
                chunk.dead.append(dead_line(number, str(error), raw))
        return assemble(chunk, rows)

    def _read_line(self, chunk: Chunk, rows: Rows, number: int, raw: bytes) -> None:
        if len(raw) > MAX_LINE_BYTES:
            raise Malformed(LINE_TOO_LONG)
        line = raw
        if stamp := _STAMP.match(raw):
            self._at_ms = None  # after a bad stamp nothing has a time until the next good one
            self._at_ms = at_ms(stamp[1], stamp[2], b"0", self._tz)
            self._stamp, line = stamp[0], raw[stamp.end() :]
            if not line:
                chunk.counts[BLANK_LINES] += 1
                return
        if self._at_ms is None:
            raise Malformed("no time stamp before this line")
        if _STAMP.search(line) or _SECOND_LINE.search(line, 1):
            raise Malformed("another line starts within this one")
        found = read_line(line, self._at_ms)
        if isinstance(found, Event):
            rows.add(number, found, self._stamp + line)
        else:
            chunk.counts[found.rule] += 1


def reader(source: str, options: ReadOptions) -> Callable[[Iterable[LineBlock]], Iterator[Chunk]]:
    return _Reader(options.tz)


def recognises(line: bytes) -> int:
    return 1_000 if _STAMP.match(line) else 0  # one stamp outweighs all lines that inherit it


FORMAT = LineFormat("stamped", recognises, reader, None)
