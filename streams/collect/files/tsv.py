"""Format `tsv`: one message a line, `2021-06-01 19:46:12,506<tab>login<tab>text`, of one channel, local time.

The channel is told by the options or by the file's name, whose part before a date, dot or dash it is
(`fl0m_2021-06.tsv.gz`: fl0m). Ids are derived from the lines.
"""

import re
from functools import partial
from pathlib import PurePath

from schemas import identity as identities
from schemas.columns import MESSAGE
from streams.collect.chunk import BLANK_LINES, LINE_TOO_LONG, MAX_LINE_BYTES, Chunk, Rows, assemble, dead_line
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import BlockReader, LineFormat, ReadOptions, each_block
from streams.collect.files.lines import LineBlock
from streams.collect.files.local_time import at_ms, zone
from streams.collect.irc import Malformed
from streams.collect.twitch import Event, read_login

_LINE = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}):([0-9]{2})[,.]([0-9]{3})\t([^\t]*)\t")
_CHANNEL_IN_NAME = re.compile(r"([A-Za-z0-9_]+?)(?:_[0-9]{4}(?![0-9])|[.\- ]|$)")


def channel_of(source: str, options: ReadOptions) -> str:
    """The channel's login. Raises SourceError where neither options nor name tell it."""
    found = _CHANNEL_IN_NAME.match(PurePath(source).name)
    name = options.channel.lstrip("#") if options.channel else found[1] if found and source != "-" else None
    if name is None:
        raise SourceError(f"{source}: lines of this form name no channel; give it with --channel")
    try:
        return read_login(name.encode(), "channel")
    except Malformed as error:
        raise SourceError(f"{source}: {name!r} cannot be a channel: {error}; give its login with --channel") from error


def read_block(block: LineBlock, channel_login: str, tz: str) -> Chunk:
    """One block of such lines; pure."""
    chunk, rows = Chunk(block.first_line_number, 0, len(block.data)), Rows()
    lines = block.data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    chunk.lines = len(lines)
    channel = identities.of_login(channel_login)
    for number, line in enumerate(lines, block.first_line_number):
        raw = line.removesuffix(b"\r")
        if not raw:
            chunk.counts[BLANK_LINES] += 1
            continue
        try:
            if len(raw) > MAX_LINE_BYTES:
                raise Malformed(LINE_TOO_LONG)
            found = _LINE.match(raw)
            if found is None:
                raise Malformed("line is not time, login and text, separated by tabs")
            minute, second, millisecond, login = found.groups()
            viewer = read_login(login, "user")
            at = at_ms(minute, second, millisecond, tz)
        except Malformed as error:
            chunk.dead.append(dead_line(number, str(error), raw))
            continue
        event = Event(channel, channel_login, at, None, MESSAGE, identities.LOGIN_PREFIX + viewer, viewer, 0)
        rows.add(number, event, raw)
    return assemble(chunk, rows)


def block_reader(source: str, options: ReadOptions) -> BlockReader:
    zone(options.tz)
    return partial(read_block, channel_login=channel_of(source, options), tz=options.tz)


def recognises(line: bytes) -> int:
    return 10 if _LINE.match(line) else 0


FORMAT = LineFormat("tsv", recognises, each_block(block_reader), block_reader)
