"""Which channels are known, under which login, and which connection hears them. Used by the Intake; pure."""

from collections.abc import Iterator
from typing import Final

from schemas.identity import ID_PREFIX, LOGIN_PREFIX
from streams.collect.live.claims import Connection, Observed
from streams.collect.live.clock import TwitchClock

MAX_CHANNELS: Final = 20_000


class Channels:
    """Channels by identity and by login. said_to_ms: how far an earlier session's claims go, by identity."""

    def __init__(self, clock: TwitchClock, said_to_ms: dict[str, int]) -> None:
        self.room_changes = 0
        self.connections: dict[int, Connection] = {}
        self.ended: dict[str, Observed] = {}
        """Those that some connection ceased to hear since `ended` was cleared."""
        self._clock = clock
        self._resumed = said_to_ms
        self._users: dict[int, int] = {}
        """Connection -> logins confirmed there; a connection without any is forgotten."""
        self._unnamed: dict[str, dict[int, int]] = {}
        """Login -> connection -> since when, where the Twitch id is not known yet."""
        self._by_login: dict[str, Observed] = {}
        self._by_identity: dict[str, Observed] = {}

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        """See port.Intake."""
        known = self._by_login.get(login)
        if room_id is not None:
            known = self.named(ID_PREFIX + room_id, login, at_ms)
        if known is not None:
            newly = known.hear(connection, at_ms)
        else:
            unnamed = self._unnamed.setdefault(login, {})
            newly = connection not in unnamed
            unnamed.setdefault(connection, at_ms)
        if newly:
            self._users[connection] = self._users.get(connection, 0) + 1
            self.connections.setdefault(connection, Connection())

    def lost(self, login: str, connection: int) -> None:
        """See port.Intake."""
        unnamed = self._unnamed.get(login, {})
        observed = self._by_login.get(login)
        if observed is not None and observed.on(connection) is not None:
            observed.end(connection, self._reached_ms(connection), self._clock.usable_least_ms)
            self.ended[observed.channel] = observed
        elif unnamed.pop(connection, None) is None:
            return
        if not unnamed:
            self._unnamed.pop(login, None)
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

    def by_login(self, login: str) -> Observed | None:
        """The channel that bears that login now."""
        return self._by_login.get(login)

    def all(self) -> Iterator[Observed]:
        """Every channel that bears a login now, heard or not."""
        return iter(self._by_login.values())

    def heard(self) -> Iterator[Observed]:
        """Those that some connection hears."""
        return (observed for observed in self._by_login.values() if observed.hearing)

    def named(self, identity: str, login: str, at_ms: int) -> Observed | None:
        """The channel of that identity, whose login is that one from at_ms on; None: MAX_CHANNELS are known."""
        observed = self._by_identity.get(identity)
        if observed is not None and observed.login == login:
            return observed
        if observed is None:
            if len(self._by_identity) >= MAX_CHANNELS:
                return None
            observed = self._by_identity[identity] = Observed(identity, login)
            if (said_to_ms := self._resumed.pop(identity, None)) is not None:
                observed.said.add(said_to_ms - 1, said_to_ms)
        elif self._by_login.get(observed.login) is observed:
            del self._by_login[observed.login]
        observed.login = login
        former = self._by_login.get(login)
        self._by_login[login] = observed
        for connection, confirmed_at_ms in self._unnamed.pop(login, {}).items():
            if not observed.hear(connection, confirmed_at_ms) and (there := observed.on(connection)) is not None:
                there.at_ms = confirmed_at_ms  # heard there under its former login: the later time claims less
        if former is not None:
            self._handed_on(former, observed, at_ms)
        return observed

    def _handed_on(self, former: Observed, observed: Observed, at_ms: int) -> None:
        """The login belongs to another channel from now on, so the lines under it do, too."""
        self.room_changes += 1
        for connection in [one.connection for one in former.hearing]:
            former.end(connection, self._reached_ms(connection), self._clock.usable_least_ms)
            if not observed.hear(connection, at_ms):
                self._users[connection] -= 1
        self.ended[former.channel] = former

    def _reached_ms(self, connection: int) -> int:
        """Of one that is gone; 0 where the clocks say nothing."""
        ahead = self._clock.usable_ahead_ms
        return self.connections[connection].ended_ms(ahead) if ahead is not None else 0
