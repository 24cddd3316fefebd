"""One client of the local server: what it says is understood as Twitch does, and answered in its words.

In: the client's lines. Out: replies, and the chat of the channels it joined. How it misbehaves is set from outside.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from streams.collect.irc import Malformed, Message, parse_line
from streams.collect.twitch_sim import dialect
from streams.collect.twitch_sim.block import Block, Numbers
from streams.collect.twitch_sim.ledger import NEVER
from streams.collect.twitch_sim.outlet import Outlet
from streams.collect.twitch_sim.rooms import JOIN_LIMIT, JoinLimit, Room, Rooms
from streams.collect.twitch_sim.wire import Wire

MAX_CLIENT_LINE_BYTES: Final = 16 * 1024
ANONYMOUS: Final = "justinfan"
BAD_TOKEN: Final = "oauth:wrong"  # a made-up one that is refused
AGAIN_BYTES: Final = 64 * 1024
"""Of the chat last said, kept to be said again."""


@dataclass(slots=True)
class House:
    """The house rules that all sessions share. join_limit: a client's joins in 10 s, 0: none; all anonymous clients
    count as one account, so that a collector's own pacing is tried. rate_notice and unknown_notice: whether a JOIN
    over the limit, or of nobody's login, is answered by a NOTICE; Twitch itself says nothing."""

    rooms: Rooms
    join_limit: int = JOIN_LIMIT
    rate_notice: bool = False
    unknown_notice: bool = False
    max_channels: int = 100
    """Of a logged-in account; anonymous ones have no such limit."""
    limits: dict[str, JoinLimit] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    sessions: list["Session"] = field(default_factory=list)
    """Those connected now."""

    def moved(self, room: Room, line: bytes, mover: "Session | None" = None) -> None:
        """Somebody came to a room or went: tell the others there who asked for membership."""
        for one in self.sessions:
            if one is not mover and one.membership and one.joined[room.index]:
                one.outlet.put(line)


class Session:
    """A client. number counts from 1; joined: (rooms,) bool."""

    def __init__(self, number: int, wire: Wire, outlet: Outlet, house: House, clock: Callable[[], float]) -> None:
        self.number = number
        self.wire = wire
        self.outlet = outlet
        self.nick = ""
        self.capabilities: set[str] = set()
        self.joined = np.zeros(len(house.rooms), np.bool_)
        self.wrong_pongs = 0
        """How many of the next PINGs get a PONG with another token; below 0: none gets any."""
        self.said_ping_s: float | None = None
        """Since when an own PING waits for its answer."""
        self.last_ping_s = clock()
        self.again: tuple[Block, Numbers] | None = None
        """The chat last said."""
        self.on_join: Callable[[], None] = lambda: None
        self._house = house
        self._clock = clock
        self._token = ""
        self._received = b""
        wire.on_bytes = self._take

    @property
    def tags(self) -> bool:
        return "twitch.tv/tags" in self.capabilities

    @property
    def commands(self) -> bool:
        return "twitch.tv/commands" in self.capabilities

    @property
    def membership(self) -> bool:
        return "twitch.tv/membership" in self.capabilities

    @property
    def logged_in(self) -> bool:
        return bool(self.nick) and not self.nick.startswith(ANONYMOUS)

    def logins(self) -> list[str]:
        """The channels it is in."""
        return [self._house.rooms.all[index].login for index in np.flatnonzero(self.joined).tolist()]

    # ---- chat ----------------------------------------------------------------------------------------------------

    def hears(self, block: Block, start: int, end: int) -> Numbers:
        """Which rows of [start, end) are for this client: those of channels that it joined, in kinds it asked for."""
        mask = self.joined[block.channel[start:end]]
        if not self.commands:
            mask &= block.privmsg[start:end]
        return np.flatnonzero(mask) + start

    def say(self, block: Block, rows: Numbers) -> Any:
        """Chat, in order. Returns (n,) where each line ends in the client's stream, or NEVER."""
        if self.outlet.silent or self.wire.ending:
            return NEVER
        self.again = (block, rows)
        if not self.tags or self._house.rooms.renamed:
            pieces = [self._retold(block, int(row)) for row in rows]
            data: Any = b"".join(pieces)
            lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        else:
            lengths = block.starts[rows + 1] - block.starts[rows]
            data = gathered(block, rows)
        ends = self.outlet.offered_bytes + np.cumsum(lengths)
        self.outlet.put(data)
        return ends

    def _retold(self, block: Block, row: int) -> bytes:
        """A line for a client without tags, or of a channel that has another name now."""
        line = block.line(row)
        room = self._house.rooms.all[int(block.channel[row])]
        if room.written_as:
            line = line.replace(f" #{room.written_as}".encode(), f" #{room.login}".encode(), 1)
        return line if self.tags else line.partition(b" ")[2]

    # ---- what the client says ------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if self.outlet.silent:
            return
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > MAX_CLIENT_LINE_BYTES:
            self._house.counts["client_lines_too_long"] += 1
            self.wire.close()
            return
        for line in lines:
            if line := line.removesuffix(b"\r"):
                self._house.counts["client_lines"] += 1
                try:
                    self._act(parse_line(line))
                except Malformed:
                    self._house.counts["client_lines_malformed"] += 1

    def _act(self, message: Message) -> None:
        verb = message.verb.upper().decode("latin-1")
        params = [param.decode("utf-8", "replace") for param in message.params]
        first = params[0] if params else ""
        if verb == "CAP":
            self._negotiate(params)
        elif verb == "PASS":
            self._token = first
        elif verb == "NICK":
            self._register(first.lower())
        elif verb == "PING":
            self._pong(message.params[0] if message.params else b"")
        elif verb == "PONG":
            self.said_ping_s = None
        elif verb == "QUIT":
            self.wire.close()
        elif verb == "USER":
            pass  # RFC 1459 wants it; Twitch ignores it
        elif not self.nick:
            self._house.counts["commands_before_login"] += 1
        elif verb == "JOIN":
            for name in first.split(","):
                self._join(name.removeprefix("#").lower())
        elif verb == "PART":
            for name in first.split(","):
                room = self._house.rooms.of(name.removeprefix("#").lower())
                if room is not None and self.joined[room.index]:
                    self.put_out(room)
        elif verb == "PRIVMSG":
            self._house.counts["client_messages_ignored"] += 1
        else:
            self.outlet.put(dialect.unknown_command(self.nick, verb))

    def _negotiate(self, params: list[str]) -> None:
        what = params[0].upper() if params else ""
        if what == "LS":
            self.outlet.put(dialect.capabilities())
        elif what == "REQ" and len(params) > 1:
            asked = params[1].split()
            answer, granted = dialect.capability_answer(self.nick or "*", asked)
            self.outlet.put(answer)
            if granted:
                self.capabilities.update(asked)

    def _register(self, nick: str) -> None:
        if self.nick:
            return
        if not nick.startswith(ANONYMOUS) and not self._token.startswith("oauth:"):
            self.outlet.put(dialect.BAD_AUTH)
            self.wire.close()
        elif not nick.startswith(ANONYMOUS) and self._token == BAD_TOKEN:
            self.outlet.put(dialect.LOGIN_FAILED)
            self.wire.close()
        else:
            self.nick = nick
            self._house.counts["logins"] += 1
            self.outlet.put(dialect.welcome(nick))
            if self.logged_in and self.commands:
                self.outlet.put(dialect.global_user_state(nick, tags=self.tags))

    def _pong(self, token: bytes) -> None:
        if self.wrong_pongs < 0:
            return
        if self.wrong_pongs:
            self.wrong_pongs -= 1
            token = b"not-" + token
        self.outlet.put(dialect.pong(token))

    def _join(self, login: str) -> None:
        house = self._house
        account = self.nick if self.logged_in else ANONYMOUS
        limit = house.limits.setdefault(account, JoinLimit(house.join_limit))
        house.counts["joins"] += 1
        allowed = limit.allows(self._clock())
        house.counts["joins_most_in_10_s"] = max(house.counts["joins_most_in_10_s"], limit.most)
        if not allowed:
            house.counts["joins_over_limit"] += 1
            if house.rate_notice:
                self._notice(login, "msg_ratelimit")
            return
        room = house.rooms.of(login)
        if room is None:
            house.counts["joins_of_nobody"] += 1
            if house.unknown_notice:
                self._notice(login, "msg_channel_suspended")
        elif room.refusal:
            self._notice(login, room.refusal)
        elif self.logged_in and self.joined.sum() >= house.max_channels:
            self._notice(login, "msg_concurrent_channel_limit_reached")
        elif not self.joined[room.index] and room.closed_until <= self._clock():
            self._admit(room)

    def _admit(self, room: Room) -> None:
        there = (one.nick for one in self._house.sessions if one is not self and one.joined[room.index])
        self.outlet.put(dialect.joined(self.nick, room.login, [*there, *room.viewers] if self.membership else ()))
        if self.commands:
            if self.logged_in:
                self.outlet.put(dialect.user_state(room.login, self.nick, tags=self.tags))
            self.outlet.put(dialect.room_state(room.login, room.room_id, tags=self.tags))
        if not self.outlet.silent:
            self.joined[room.index] = True
            self._house.moved(room, dialect.came(self.nick, room.login), self)
            self.on_join()

    def put_out(self, room: Room, msg_id: str = "") -> None:
        """It is no longer in that channel: PART, with a NOTICE before it where msg_id says one."""
        if msg_id:
            self._notice(room.login, msg_id)
        line = dialect.parted(self.nick, room.login)
        self.outlet.put(line)
        self.joined[room.index] = False
        self._house.moved(room, line, self)

    def gone(self) -> None:
        """The connection has ended: whoever is where it was is told."""
        for index in np.flatnonzero(self.joined).tolist():
            room = self._house.rooms.all[index]
            self._house.moved(room, dialect.parted(self.nick, room.login), self)

    def _notice(self, login: str, msg_id: str) -> None:
        if self.commands:
            self.outlet.put(dialect.notice(login, msg_id, tags=self.tags))


def gathered(block: Block, rows: Numbers) -> bytes | memoryview:
    """The bytes of those lines; a view of the block's buffer where they stand together."""
    view = memoryview(block.data)
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts = rows[np.concatenate(([0], breaks))]
    lasts = rows[np.concatenate((breaks - 1, [len(rows) - 1]))]
    starts, ends = block.starts[firsts].tolist(), block.starts[lasts + 1].tolist()
    if len(starts) == 1:
        return view[starts[0] : ends[0]]
    return b"".join([view[start:end] for start, end in zip(starts, ends, strict=True)])
