"""Which channels are known, under which login, and which connection hears them. Used by the Intake; pure.

At the bound the channel heard longest ago gives way, of those that nobody hears and that have said all; what its next
session must know is kept.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.identity import ID_PREFIX, LOGIN_PREFIX
from streams.collect.live.claims import Connection, Observed
from streams.collect.live.clock import TwitchClock
from streams.collect.live.port import MAX_CHANNELS

MAX_KNOWN: Final = MAX_CHANNELS + 1_000
"""All that are joined, and some beside: left a moment ago, with a hole that waits, or of lines nobody asked for."""
MAX_LEFT: Final = 100_000
"""Forgotten ones of which is kept how far they were claimed; beyond, those forgotten longest ago are gone."""
_LOOKS: Final = 16
"""At one search for a channel that may be forgotten."""


class Left(NamedTuple):
    """What is kept of a channel that is not known any more: see Observed."""

    seq: int
    said_to_ms: int
    floor_ms: int


class Channels:
    """Channels by identity and by login. said_to_ms: how far an earlier session's claims go, by identity."""

    def __init__(self, clock: TwitchClock, said_to_ms: dict[str, int]) -> None:
        self.room_changes = self.forgotten = self.forgotten_ends = 0
        self.connections: dict[int, Connection] = {}
        self.ended: dict[str, Observed] = {}
        """Those that some connection ceased to hear since `ended` was cleared."""
        self._clock = clock
        self._left = {channel: Left(0, to_ms, 0) for channel, to_ms in said_to_ms.items()}
        self._users: dict[int, int] = {}
        """Connection -> logins confirmed there; a connection without any is forgotten."""
        self._unnamed: dict[str, dict[int, int]] = {}
        """Login -> connection -> since when, where the Twitch id is not known yet."""
        self._by_login: dict[str, Observed] = {}
        """Also by a former login, for as long as a connection hears the channel under that."""
        self._by_identity: dict[str, Observed] = {}
        self._unheard: OrderedDict[str, Observed] = OrderedDict()
        """By identity, the one heard longest ago first."""

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        """See port.Intake."""
        known = self._by_login.get(login)
        if room_id is not None:
            known = self.named(ID_PREFIX + room_id, login, at_ms)
        if known is not None:
            newly = self._hear(known, connection, at_ms, login)
        else:
            unnamed = self._unnamed.setdefault(login, {})
            newly = connection not in unnamed
            unnamed.setdefault(connection, at_ms)
        if newly:
            self._users[connection] = self._users.get(connection, 0) + 1
            self.connections.setdefault(connection, Connection())

    def lost(self, login: str, connection: int) -> None:
        """See port.Intake. Where the channel is confirmed there under another login meanwhile, it is heard on."""
        unnamed = self._unnamed.get(login, {})
        observed = self._by_login.get(login)
        there = observed.on(connection) if observed is not None else None
        if observed is not None and there is not None and there.login == login:
            observed.end(connection, self._reached_ms(connection), self._clock.usable_least_ms)
            self._ended(observed)
            self._settle_login(observed, login)
        elif unnamed.pop(connection, None) is None:
            return
        if not unnamed:
            self._unnamed.pop(login, None)
        self._not_used(connection)

    def _hear(self, observed: Observed, connection: int, at_ms: int, login: str) -> bool:
        """See Observed.hear; a login under which the channel was heard there before is none of its any more."""
        before = observed.on(connection)
        former = before.login if before is not None else login
        newly = observed.hear(connection, at_ms, login)
        self._unheard.pop(observed.channel, None)
        self._settle_login(observed, former)
        return newly

    def _settle_login(self, observed: Observed, login: str) -> None:
        """Forget a former login under which no connection hears the channel."""
        if login != observed.login and self._by_login.get(login) is observed and not observed.is_heard_as(login):
            del self._by_login[login]

    def _ended(self, observed: Observed) -> None:
        """Some connection ceased to hear it."""
        self.ended[observed.channel] = observed
        if not observed.hearing:
            self._unheard[observed.channel] = observed

    def _not_used(self, connection: int) -> None:
        """By one login less."""
        self._users[connection] -= 1
        if not self._users[connection]:
            del self._users[connection], self.connections[connection]

    def of(self, identity: str) -> Observed | None:
        """The channel of that identity."""
        return self._by_identity.get(identity)

    def identity_of(self, channel: str, login: str) -> str:
        """Whose a line is that bears this identity. Twitch leaves room-id empty on CLEARMSG: such a line belongs to the
        channel that bears its login now, and is none of another one that would take the login over."""
        if channel.startswith(LOGIN_PREFIX) and (known := self._by_login.get(login)) is not None:
            return known.channel
        return channel

    def all(self) -> Iterator[Observed]:
        """Every channel that bears a login now, heard or not."""
        return (observed for login, observed in self._by_login.items() if observed.login == login)

    def heard(self) -> Iterator[Observed]:
        """Those that some connection hears."""
        return (observed for observed in self._by_identity.values() if observed.hearing)

    def named(self, identity: str, login: str, at_ms: int) -> Observed | None:
        """The channel of that identity, whose login is that one from at_ms on: it was heard. None: MAX_KNOWN are known,
        and none of them may be forgotten."""
        observed = self._by_identity.get(identity)
        if observed is not None and not observed.hearing:
            self._unheard.move_to_end(identity)
        if observed is not None and self._by_login.get(login) is observed and observed.login == login:
            return observed
        if observed is None and (observed := self._new(identity, login)) is None:
            return None
        before, observed.login = observed.login, login
        # Its former login is parted a moment later, or the connection that hears it under that one ends.
        self._settle_login(observed, before)
        former = self._by_login.get(login)
        self._by_login[login] = observed
        for connection, confirmed_at_ms in self._unnamed.pop(login, {}).items():
            if not self._hear(observed, connection, confirmed_at_ms, login):
                self._not_used(connection)
                if (there := observed.on(connection)) is not None:
                    there.at_ms = confirmed_at_ms  # under its former login: the later time claims less
        if former is not None and former is not observed:
            self._handed_on(former, observed, at_ms)
        return observed

    def _new(self, identity: str, login: str) -> Observed | None:
        if len(self._by_identity) >= MAX_KNOWN and not self._forget_one():
            return None
        observed = self._by_identity[identity] = self._unheard[identity] = Observed(identity, login)
        if (left := self._left.pop(identity, None)) is not None:
            observed.seq, observed.floor_ms = left.seq, left.floor_ms
            if left.said_to_ms:
                observed.said.add(left.said_to_ms - 1, left.said_to_ms)
        return observed

    def _forget_one(self) -> bool:
        """Of those that nobody hears and that owe nothing; who was looked at and owes something is looked at again
        last, so that a search is short."""
        for _ in range(min(_LOOKS, len(self._unheard))):
            identity, observed = self._unheard.popitem(last=False)
            if observed.owes or identity in self.ended:
                self._unheard[identity] = observed
                continue
            del self._by_identity[identity]
            if self._by_login.get(observed.login) is observed:
                del self._by_login[observed.login]
            self.forgotten += 1
            if observed.seq or observed.said_to_ms:
                self._left[identity] = Left(observed.seq, observed.said_to_ms, observed.floor_ms)
            if len(self._left) > MAX_LEFT:
                del self._left[next(iter(self._left))]
                self.forgotten_ends += 1
            return True
        return False

    def _handed_on(self, former: Observed, observed: Observed, at_ms: int) -> None:
        """The login belongs to another channel from now on, so the lines under it do, too."""
        self.room_changes += 1
        for connection in [one.connection for one in former.hearing if one.login == observed.login]:
            former.end(connection, self._reached_ms(connection), self._clock.usable_least_ms)
            if not self._hear(observed, connection, at_ms, observed.login):
                self._not_used(connection)
        self._ended(former)

    def _reached_ms(self, connection: int) -> int:
        """Of one that is gone; 0 where the clocks say nothing."""
        ahead = self._clock.usable_ahead_ms
        return self.connections[connection].ended_ms(ahead) if ahead is not None else 0
