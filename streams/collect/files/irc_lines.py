"""Format `irc`: Twitch IRC lines with tags, one after the other; lines without tags bear no time and only the ignored
commands among them are not dead."""

import re

from streams.collect.chunk import Chunk
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.files.formats import BlockReader, LineFormat, ReadOptions, each_block
from streams.collect.files.lines import LineBlock

_TAGGED = re.compile(rb"@[^ ]+ +(?::[^ ]+ +)?[A-Z]+(?: |$)")
_UNTAGGED = re.compile(rb":[^ ]+ (?:[A-Z]+|[0-9]{3}) |PING ")


def read_block(block: LineBlock) -> Chunk:
    """One block of tagged lines."""
    return parse_irc_chunk(block.data, block.first_line_number)


def block_reader(source: str, options: ReadOptions) -> BlockReader:
    return read_block


def recognises(line: bytes) -> int:
    return 10 if _TAGGED.match(line) else 1 if _UNTAGGED.match(line) else 0


FORMAT = LineFormat("irc", recognises, each_block(block_reader), block_reader)
