"""One parser over captured lines, in a process of its own: ours | ours-small | twitchio | irc | irctokens.

Prints rate=<lines/s> of one core, and refused=<lines it could not read>. Peers get text, decoded once; ours gets bytes,
in pieces as a socket gives them.
"""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from streams.collect.irc import Malformed
from streams.collect.live.framing import LineBuffer
from streams.collect.live.lines import QuickLines, split_lines

REPEATS: Final = 3
READ_BYTES: Final = 256 * 1024
"""What uvloop reads at once from a busy socket."""
SMALL_READ_LINES: Final = 4


def ours(data: bytes, pieces: list[bytes]) -> int:
    """Framing, and of every line what its event needs; refused lines are dead letters."""
    buffer, reader, refused = LineBuffer(), QuickLines(), 0
    for piece in pieces:
        for line in split_lines(buffer.feed(piece)).rest:
            try:
                if line:
                    reader.read(line)
            except Malformed:
                refused += 1
    return refused


def twitchio(data: bytes, pieces: list[bytes]) -> int:
    """TwitchIO 2's parser."""
    from twitchio.parse import parser

    logging.disable(logging.CRITICAL)
    return _each(data, lambda line: parser(line, "justinfan1"))


def jaraco(data: bytes, pieces: list[bytes]) -> int:
    """What `irc.client.ServerConnection._process_line` does to read a line, without its events."""
    from irc import client, events, message

    match = client._rfc_1459_command_regexp.match

    def read(line: str) -> Any:
        group = match(line).group
        source = client.NickMask.from_group(group("prefix"))
        command = events.Command.lookup(group("command"))
        return source, command, message.Arguments.from_group(group("argument")), message.Tag.from_group(group("tags"))

    return _each(data, read)


def irctokens(data: bytes, pieces: list[bytes]) -> int:
    """irctokens' tokenise."""
    from irctokens.line import tokenise

    return _each(data, tokenise)


def _each(data: bytes, read: Callable[[str], Any]) -> int:
    refused = 0
    for line in data.decode().split("\r\n"):
        try:
            if line and read(line) is None:
                refused += 1
        except Exception:  # noqa: BLE001 - whatever a peer raises on a real line counts as refused
            refused += 1
    return refused


def main() -> None:
    """Read the file REPEATS times; the fastest counts, for all alike."""
    name, path = sys.argv[1:]
    data = Path(path).read_bytes()
    if name == "ours-small":
        lines = data.splitlines(keepends=True)
        pieces = [b"".join(lines[at : at + SMALL_READ_LINES]) for at in range(0, len(lines), SMALL_READ_LINES)]
    else:
        pieces = [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]
    read = {"ours": ours, "ours-small": ours, "twitchio": twitchio, "irc": jaraco, "irctokens": irctokens}[name]
    taken, refused = [], 0
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        refused = read(data, pieces)
        taken.append(time.perf_counter() - start_s)
    count = data.count(b"\n")
    print(f"rate={count / min(taken):.0f} lines={count} refused={refused}")


if __name__ == "__main__":
    main()
