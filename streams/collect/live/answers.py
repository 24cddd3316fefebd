"""What servers say of channels: confirmations, partings, refusals, and a room-id that is not the one expected.

In: messages that are neither chat nor a connection's own business. Out: steps on the roster, and the Intake told which
channels are observed where.
"""

import logging
from typing import Final

from streams.collect.irc import Message, split_userhost
from streams.collect.live.connection import Connection
from streams.collect.live.membership import Channel
from streams.collect.live.notices import Refusal, channel_login, refusal_of
from streams.collect.live.pacing import Pacing
from streams.collect.live.roster import REFUSED, Roster

logger: Final = logging.getLogger(__name__)


class Answers:
    """See the module."""

    def __init__(self, roster: Roster, pacing: Pacing) -> None:
        self._roster = roster
        self._pacing = pacing

    def said(self, connection: Connection, message: Message, at_ms: int) -> None:
        """Take in one message; most mean nothing for membership."""
        verb, params = message.verb, message.params
        if verb in (b"ROOMSTATE", b"JOIN", b"PART", b"KICK"):
            login = channel_login(params[0]) if params else None
            if login is None:
                return
            ours = split_userhost(message.source or b"").nick == connection.nick
            if verb == b"ROOMSTATE":
                room_id = message.tags.get(b"room-id", b"")
                self._confirmed(connection, login, room_id.decode() if room_id.isdigit() else None, at_ms)
            elif verb == b"JOIN" and ours:
                self._confirmed(connection, login, None, at_ms)
            elif (verb == b"PART" and ours) or (verb == b"KICK" and params[1:2] == [connection.nick]):
                self._put_out(connection, login, verb.decode())
            elif verb != b"KICK":
                self._others(verb)
        elif verb == b"353":
            names = params[-1].split() if len(params) >= 4 else []
            self._roster.metrics.members_listed_total += sum(name != connection.nick for name in names)
        elif refused := refusal_of(message):
            self._refused(connection, refused.login, refused.refusal, refused.word)

    def _others(self, verb: bytes) -> None:
        """Somebody else came or went: nothing is kept of it but the number, no name reaches log, report or disk."""
        metrics = self._roster.metrics
        metrics.members_joined_total += verb == b"JOIN"
        metrics.members_parted_total += verb == b"PART"

    def _confirmed(self, connection: Connection, login: str, room_id: str | None, at_ms: int) -> None:
        if login in connection.parting:
            return  # said before the server read our PART
        channel = self._roster.channels.get(login)
        if channel is None or not channel.wanted or self._is_heard_elsewhere(channel, connection):
            self._roster.send_part(connection, login)
            return
        newly = channel.home is not connection
        if newly:
            self._roster.heard(channel, connection)
        elif room_id is None or (channel.room_told and room_id == channel.room_id):
            return
        if room_id is not None:
            if channel.room_id not in (None, room_id):
                self._given_away(channel, room_id)
                if not newly:
                    self._roster.intake.lost(login, connection.number)
            channel.room_id, channel.room_told = room_id, True
        self._roster.intake.observing(channel.login, room_id, connection.number, at_ms)
        if room_id is not None:
            self._follow_rename(channel, room_id)
        self._roster.settle(channel)

    def _is_heard_elsewhere(self, channel: Channel, connection: Connection) -> bool:
        """Whether this answers a JOIN that was given up on, while the channel found another home."""
        home = channel.home
        return home not in (None, connection) and channel.asked is not connection and not home.draining

    def _given_away(self, channel: Channel, room_id: str) -> None:
        """The login belongs to somebody else now: what was heard under it ends, and another channel begins."""
        roster, before = self._roster, channel.room_id
        roster.metrics.identity_changes_total += 1
        roster.note(channel, "room-id", f"is {room_id}, was {before}")
        logger.warning("#%s is room %s now and was room %s", channel.login, room_id, before)
        if channel.former is not None:
            roster.part(channel, channel.former)
        if before is not None and roster.by_room.get(before) == channel.login:
            del roster.by_room[before]

    def _follow_rename(self, channel: Channel, room_id: str) -> None:
        """The same room under another login: the old login is left, and tried seldom."""
        roster = self._roster
        old = roster.channels.get(roster.by_room.get(room_id, ""))
        roster.by_room[room_id] = channel.login
        if old is None or old is channel or old.room_id != room_id:
            return
        roster.metrics.renames_total += 1
        roster.note(channel, "room-id", f"was #{old.login} before")
        logger.warning("room %s is #%s now and was #%s", room_id, channel.login, old.login)
        old.room_id = None
        for connection in (old.home, old.former, old.asked):
            if connection is not None:
                roster.part(old, connection)
        if old.wanted:
            roster.park(old, Refusal.RENAMED, f"now #{channel.login}")

    def _put_out(self, connection: Connection, login: str, verb: str) -> None:
        channel = self._roster.channels.get(login)
        if login in connection.parting and verb == "PART":
            connection.parting.discard(login)
            if channel is not None and not channel.wanted:
                self._roster.forget(channel)
        elif channel is not None and login in connection.channels:
            self._refused(connection, login, Refusal.PUT_OUT, verb)

    def _refused(self, connection: Connection, login: str, refusal: Refusal, word: str) -> None:
        roster = self._roster
        roster.metrics.refusals_total[refusal.value] += 1
        if refusal is Refusal.RATE_LIMITED:
            self._pacing.hold(roster.clock_s())
        channel = roster.channels.get(login)
        if channel is None or login not in connection.channels:
            return
        if refusal is Refusal.CHANNEL_LIMIT:
            connection.room = min(connection.room, max(1, len(connection.channels) - 1))
        roster.leave(channel, connection)
        if channel.home is not None:
            roster.enqueue(channel, REFUSED)  # a move that failed; it is still heard where it was
            roster.settle(channel)
        elif channel.wanted and channel.asked is None:
            roster.park(channel, refusal, word)
