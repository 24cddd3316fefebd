"""One live line -> an event, a named skip, or a line for the connection. Between framing and batching.

`QuickLines` reads the lines that Twitch sends all day with a few searches in the bytes; whatever is unusual about a
line sends it to `twitch.read_message`, which has all the rules. A property test holds the two and the reading by
columns (`fast_irc`) equal on every line.
"""

from binascii import Error as NotHex
from binascii import unhexlify
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from schemas.columns import MAX_AT_MS, MESSAGE, MIN_AT_MS
from streams.collect.fast_irc import Block, FastRows, fast_rows
from streams.collect.irc import Malformed, parse_line, split_userhost
from streams.collect.twitch import Event, Skip, read_login, read_message

MAX_KEPT: Final = 65_536
"""Channels and viewers whose texts are kept ready; both tables are emptied when they reach it."""
COLUMNS_FROM_LINES: Final = 256
"""Blocks of at least so many lines are read by columns; smaller ones are faster line by line (measured)."""
_CHAT: Final = frozenset((b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG"))
_CLOSES_TAG: Final = b"; "
_NO_TEXT: Final = (b"", b" ")
_SPACE, _HASH, _COLON, _EQUALS, _AT = 0x20, 0x23, 0x3A, 0x3D, 0x40
_event = tuple.__new__


class Received(NamedTuple):
    """A block of whole lines. by_columns: its ordinary lines, where there are enough to pay; copies: lines of shared
    chat found on the way; rest: the other lines, without ends, empty ones among them; places: the number of each
    of them in the block, where some were read by columns."""

    lines: int
    by_columns: tuple[Block, FastRows] | None
    copies: int
    rest: list[bytes]
    places: Sequence[int] = ()

    def newest_ms(self) -> int:
        """The newest time stamp among the lines read by columns; 0 where there are none."""
        return int(self.by_columns[1].at.max()) if self.by_columns is not None else 0

    def newest_before_ms(self, index: int) -> int:
        """The same of those before rest[index]."""
        if self.by_columns is None:
            return 0
        fast = self.by_columns[1]
        return int(fast.at.max(initial=0, where=fast.lines < self.places[index]))


def split_lines(data: bytes, *, by_columns: bool = True) -> Received:
    """Read what pays by columns, where that is wanted, cut the rest into lines."""
    if not by_columns or data.count(b"\n") < COLUMNS_FROM_LINES:
        split = data.split(b"\n")
        if not split[-1]:
            split.pop()
        return Received(len(split), None, 0, [line.removesuffix(b"\r") for line in split])
    block = Block(data)
    fast, done = fast_rows(block)
    copies = int(np.count_nonzero(done))
    done[fast.lines] = True
    places = np.flatnonzero(~done).tolist()
    rest = [data[block.starts[line] : block.ends[line]] for line in places]
    return Received(len(block.starts), (block, fast) if len(fast.lines) else None, copies, rest, places)


class QuickLines:
    """Reads single lines. Keeps identities and logins that passed the rules once, up to MAX_KEPT of each."""

    __slots__ = ("_channels", "_viewers")

    def __init__(self) -> None:
        self._channels: dict[bytes, tuple[str, str]] = {}
        """By room-id, space, #login: as a line has them, and no room-id holds a space."""
        self._viewers: dict[bytes, tuple[str, str]] = {}
        """By user-id, space, :nick."""

    def read(self, line: bytes) -> Event | Skip | None:
        """What a line (no line end, not empty) is; None: no chat, for the connection. Raises Malformed."""
        if line[0] != _AT:
            return self._read_untagged(line)
        end = line.find(b" ")
        verb = line.find(b" ", end + 2)
        text = line.find(b" ", verb + 10)
        # The last tag whose name begins so: where it is `idx` or has no `=`, the line is read by all rules.
        id_at = line.rfind(b";id", 0, end) + 4
        room_at = line.rfind(b";room-id", 0, end) + 9
        time_at = line.rfind(b";tmi-sent-ts", 0, end) + 13
        user_at = line.rfind(b";user-id", 0, end) + 9
        if (
            line[verb : verb + 10] != b" PRIVMSG #"
            or not line.startswith(b" :", end)
            or not 0 < text < len(line) - 1
            or line[1:5] == b"bits"
            or line[text + 1] == _SPACE
            or not line[id_at - 1] == line[room_at - 1] == line[time_at - 1] == line[user_at - 1] == _EQUALS
            or id_at < 4
            or room_at < 9
            or time_at < 13
            or user_at < 9
            or line.find(b"source-room-id", 0, end) >= 0
            or line.find(b";bits", 0, end) >= 0
        ):
            return self._read_by_all_rules(line)
        room_end, user_end = line.find(b";", room_at, end), line.find(b";", user_at, end)
        channel = self._channels.get(line[room_at : room_end if room_end > 0 else end] + line[verb + 8 : text])
        nick_end = line.find(b"!", end, verb)
        viewer = self._viewers.get(line[user_at : user_end if user_end > 0 else end] + line[end:nick_end])
        at_text = line[time_at : time_at + 13]
        if (
            channel is None
            or viewer is None
            or line[time_at + 13] not in _CLOSES_TAG
            or id_at + 36 > end
            or line[id_at + 36] not in _CLOSES_TAG
            or line[id_at + 8 : id_at + 24 : 5] != b"----"
            or not at_text.isdigit()
        ):
            return self._read_by_all_rules(line)
        at_ms = int(at_text)
        try:
            event_id = unhexlify(line[id_at : id_at + 36].replace(b"-", b""))
        except NotHex:
            return self._read_by_all_rules(line)
        if not MIN_AT_MS <= at_ms < MAX_AT_MS or len(event_id) != 16:
            return self._read_by_all_rules(line)
        return _event(Event, (*channel, at_ms, event_id, MESSAGE, *viewer, 0))

    def _read_untagged(self, line: bytes) -> Event | Skip | None:
        """Lines for the connection, and those of a server that gives no tags, which have no time."""
        parts = line.split(b" ", 3)
        if len(parts) < 3 or line[0] != _COLON or not parts[1] or not parts[2]:
            return self._read_by_all_rules(line)
        if parts[1] not in _CHAT:
            return None
        if parts[1] == b"PRIVMSG" and parts[2][0] == _HASH and len(parts) == 4 and parts[3][:1] not in _NO_TEXT:
            read_login(parts[2][1:], "channel")
            read_login(split_userhost(parts[0][1:]).nick, "user")
            raise Malformed("no tmi-sent-ts")
        return self._read_by_all_rules(line)

    def _read_by_all_rules(self, line: bytes) -> Event | Skip | None:
        message = parse_line(line)
        if message.verb not in _CHAT:
            return None
        found = read_message(message)
        if isinstance(found, Event) and message.verb == b"PRIVMSG" and message.source is not None:
            self._keep(message.tags, message.source, message.params[0][1:], found)
        return found

    def _keep(self, tags: dict[bytes, bytes], source: bytes, channel: bytes, event: Event) -> None:
        """These bytes passed the rules: next time they need not be looked at."""
        room, user = tags.get(b"room-id"), tags.get(b"user-id")
        nick, bang, _ = source.partition(b"!")
        if room and user and bang and b"@" not in nick:
            if len(self._channels) >= MAX_KEPT:
                self._channels.clear()
            if len(self._viewers) >= MAX_KEPT:
                self._viewers.clear()
            self._channels[room + b" #" + channel] = event.channel, event.channel_login
            self._viewers[user + b" :" + nick] = event.viewer, event.login
