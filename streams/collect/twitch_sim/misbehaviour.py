"""Twitch's misbehaviours, one by one, on command: the control API of the local server.

What is announced to nobody cannot be known by anybody, so that here whatever ends a channel's chat on a living
connection is said as Twitch says it (PART, NOTICE), and a connection that went silent never speaks again.
"""

import asyncio
import time
from typing import Final

import numpy as np

from schemas.columns import MESSAGE
from schemas.errors import TwzrdError
from streams.collect.simulation.dice import Dice
from streams.collect.simulation.lines import uuid_texts
from streams.collect.twitch_sim import dialect, hostile
from streams.collect.twitch_sim.block import STAMP, Block
from streams.collect.twitch_sim.rooms import Room
from streams.collect.twitch_sim.session import House, Session
from streams.collect.twitch_sim.stage import Stage

FLOOD_LINES: Final = 5_000
CROWD: Final = 200


class UnknownRoom(TwzrdError):
    """A channel that the local server does not have."""


class Misbehaviour:
    """Each method does its mischief at once; `for_s` is how long it lasts."""

    def __init__(self, stage: Stage, house: House, dice: Dice) -> None:
        self._stage = stage
        self._house = house
        self._rooms = house.rooms
        self._dice = dice
        self._loop = asyncio.get_running_loop()

    # ---- connections ---------------------------------------------------------------------------------------------

    def cut(self, session: Session) -> None:
        """The connection is reset; what is still on its way is lost."""
        session.wire.cut()

    def close(self, session: Session) -> None:
        """The connection is ended in order, without a word before."""
        session.wire.close()

    def half_close(self, session: Session) -> None:
        """FIN: the server says no more, and goes on reading."""
        session.outlet.silent = True
        session.wire.half_close()

    def reconnect(self, session: Session, for_s: float = 15.0) -> None:
        """RECONNECT; chat goes on for_s more, then the connection ends."""
        session.outlet.put(dialect.RECONNECT)
        self._loop.call_later(for_s, session.wire.close)

    def silence(self, session: Session, for_s: float | None = None) -> None:
        """Half-open: the socket stays, nothing is sent, nothing is answered. After for_s it is cut; None: never."""
        session.outlet.silent = True
        if for_s is not None:
            self._loop.call_later(for_s, session.wire.cut)

    def delay(self, session: Session, delay_s: float, for_s: float) -> None:
        """For a while everything to that client goes out delay_s late."""
        session.outlet.delay_s = delay_s

        def end() -> None:
            session.outlet.delay_s = 0.0

        self._loop.call_later(for_s, end)

    def split(self, session: Session, for_s: float | None = None) -> None:
        """Writes end at any byte, each piece a TLS record of its own. None: from now on."""
        session.outlet.split = True

        def end() -> None:
            session.outlet.split = False

        if for_s is not None:
            self._loop.call_later(for_s, end)

    def wrong_pong(self, session: Session, count: int = 1) -> None:
        """The next `count` PINGs get a PONG with another token; below 0 no PING gets any more."""
        session.wrong_pongs = count

    # ---- chat ----------------------------------------------------------------------------------------------------

    def duplicate(self, session: Session, lines: int = 200) -> None:
        """The last chat comes again, line for line."""
        if session.again is not None:
            block, rows = session.again
            self._stage.say_again(session, block, rows[-lines:])

    def flood(self, login: str, lines: int = FLOOD_LINES) -> None:
        """One viewer says that many lines in a channel, all at once, to everybody who is there."""
        block = _flood(self._room(login), lines, self._dice)
        self._stage.say(block, 0, len(block))

    def hostile(self, session: Session, kind: str, login: str | None = None) -> None:
        """Lines that no honest server sends; kinds: see hostile.KINDS. login: a channel to name in them."""
        name = login or next(iter(session.logins()), "nobody")
        for piece in hostile.KINDS[kind](name.encode()):
            session.outlet.put(piece)

    def crowd(self, login: str, viewers: int = CROWD, for_s: float = 5.0) -> None:
        """So many viewers come, say nothing, and go for_s later: only clients with membership are told."""
        room = self._room(login)
        nicks = [f"lurker{number}" for number in range(viewers) if f"lurker{number}" not in room.viewers]
        for nick in nicks:
            room.viewers[nick] = None
            self._house.moved(room, dialect.came(nick, room.login))

        def leave() -> None:
            for nick in nicks:
                del room.viewers[nick]
                self._house.moved(room, dialect.parted(nick, room.login))

        self._loop.call_later(for_s, leave)

    # ---- channels ------------------------------------------------------------------------------------------------

    def netsplit(self, logins: list[str], for_s: float) -> None:
        """Everybody is put out of these channels; a JOIN gets no answer for so long."""
        for room in map(self._room, logins):
            room.closed_until = self._loop.time() + for_s
            self._empty(room)

    def suspend(self, login: str, msg_id: str = "msg_channel_suspended") -> None:
        """The channel is suspended: who is in it is told and put out, who joins is told. With another msg_id it is
        closed for that reason, with "msg_banned" to us alone."""
        room = self._room(login)
        room.refusal = msg_id
        self._empty(room, msg_id)

    def ban(self, login: str) -> None:
        """We are banned there."""
        self.suspend(login, "msg_banned")

    def restore(self, login: str) -> None:
        """The channel may be joined again."""
        room = self._room(login)
        room.refusal, room.closed_until = "", 0.0

    def rename(self, login: str, new_login: str) -> None:
        """The channel has another login from now on, and the same id; who is in it is put out, and the old login is
        nobody's: a JOIN gets no answer, or with `unknown_notice` msg_channel_suspended. Raises ValueError where the new
        login is taken."""
        room = self._room(login)
        self._empty(room)
        self._rooms.rename(room, new_login)

    def _empty(self, room: Room, msg_id: str = "") -> None:
        for session in self._stage.sessions:
            if session.joined[room.index]:
                session.put_out(room, msg_id)

    def _room(self, login: str) -> Room:
        room = self._rooms.of(login)
        if room is None:
            raise UnknownRoom(f"there is no #{login} on this server; its channels are those of its feed")
        return room


def _flood(room: Room, count: int, dice: Dice) -> Block:
    """That many lines of one viewer, said now."""
    now_ms = time.time_ns() // 1_000_000
    ids = dice.uuids(count)
    login = (room.written_as or room.login).encode()
    head = b"@badge-info=;badges=;color=;display-name=flooder;emotes=;flags=;id="
    room_id = b";room-id=" + room.room_id.encode() if room.room_id else b""
    tail = b";user-id=9999;user-type= :flooder!flooder@flooder.tmi.twitch.tv PRIVMSG #" + login + b" :flood\r\n"
    lines = [b"%b%b%b;%b%d%b" % (head, one, room_id, STAMP, now_ms, tail) for one in uuid_texts(ids)]
    length = len(lines[0])
    starts = np.arange(count + 1, dtype=np.int64) * length
    times = np.full(count, now_ms)
    return Block(
        bytearray().join(lines),
        starts,
        starts[:-1] + lines[0].index(STAMP) + len(STAMP),
        times,
        times.copy(),
        np.full(count, room.index),
        np.full(count, MESSAGE, np.uint8),
        np.ones(count, np.bool_),
        ids,
        [],
        np.arange(count),
    )
