"""One live line -> an event, a named skip, or a line for the connection. Between framing and batching.

`QuickLines` reads the lines that Twitch sends all day with a few searches in the bytes; whatever is unusual about a
line sends it to `twitch.read_message`, which has all the rules. A property test holds the two and the reading by
columns (`fast_irc`) equal on every line.
"""

from binascii import Error as NotHex
from binascii import unhexlify
from typing import Final

from schemas.columns import MAX_AT_MS, MESSAGE, MIN_AT_MS
from streams.collect.irc import parse_line
from streams.collect.twitch import Event, Skip, read_message

MAX_KEPT: Final = 65_536
"""Channels and viewers whose texts are kept ready; both tables are emptied when they reach it."""
_CHAT: Final = frozenset((b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG"))
_CLOSES_TAG: Final = b"; "
_SPACE, _EQUALS, _AT = 0x20, 0x3D, 0x40
_event = tuple.__new__


class QuickLines:
    """Reads single lines. Keeps identities and logins that passed the rules once, up to MAX_KEPT of each."""

    __slots__ = ("_channels", "_viewers")

    def __init__(self) -> None:
        self._channels: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self._viewers: dict[tuple[bytes, bytes], tuple[str, str]] = {}

    def read(self, line: bytes) -> Event | Skip | None:
        """What a line (no line end, not empty) is; None: no chat, for the connection. Raises Malformed."""
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
            or line[0] != _AT
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
        channel = self._channels.get((line[room_at : room_end if room_end > 0 else end], line[verb + 10 : text]))
        nick_end = line.find(b"!", end, verb)
        viewer = self._viewers.get((line[user_at : user_end if user_end > 0 else end], line[end + 2 : nick_end]))
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
            self._channels[room, channel] = event.channel, event.channel_login
            self._viewers[user, nick] = event.viewer, event.login
