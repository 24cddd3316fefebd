"""One channel between wanted and heard: its state, what was tried, and how long a refusal is waited out.

    wanted --JOIN--> joining --ROOMSTATE or echo--> joined --RECONNECT--> moving --confirmed there--> joined
       ^                |  no answer, NOTICE           |  connection ended: wanted; NOTICE: parked
       +--- retry at ---+--> parked <------------------+
    joining, moving --connection ended--> wanted; moving --NOTICE--> parked; parked --late answer--> joined
    from any of them, when no longer wanted: --PART--> leaving --echo or 5 s--> forgotten

Pure: times are the caller's. The reconciler, its only user, does what has to be done on connections.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from streams.collect.live.connection import Connection
from streams.collect.live.notices import Refusal

State = Literal["wanted", "joining", "joined", "moving", "parked", "leaving"]

MAX_TRIED: Final = 10
"""Attempts remembered of a channel, the newest."""
MAX_UNANSWERED: Final = 4
"""Connections remembered that did not answer its JOIN, the newest."""
RETRY_S: Final[dict[Refusal, tuple[float, float]]] = {
    Refusal.NO_ANSWER: (15, 1_800),
    Refusal.NOT_FOUND: (300, 21_600),
    Refusal.SUSPENDED: (900, 21_600),
    Refusal.BANNED: (3_600, 86_400),
    Refusal.FORBIDDEN: (900, 21_600),
    Refusal.RATE_LIMITED: (15, 300),
    Refusal.CHANNEL_LIMIT: (5, 900),
    Refusal.PUT_OUT: (5, 1_800),
    Refusal.RENAMED: (3_600, 86_400),
}
"""First and longest wait before another try; each failure in a row doubles it."""
STEADY_S: Final = 60.0
"""A channel heard that long has put its failures behind it."""


class Attempt(NamedTuple):
    """Something that was tried, and what came of it. Wall-clock ms."""

    at_ms: int
    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How a channel stands, for people. retry_at_ms: of a parked one. tried: oldest first."""

    login: str
    room_id: str | None
    state: State
    reason: str
    since_ms: int
    retry_at_ms: int | None
    connection: int | None
    failures: int
    tried: tuple[Attempt, ...]


@dataclass(slots=True, eq=False)
class Channel:
    """Where it is heard (`home`), where an answer to JOIN is awaited (`asked`), and where it is heard besides for a
    moment after a move (`former`), so that what both claim overlaps."""

    login: str
    since_ms: int
    wanted: bool = True
    room_id: str | None = None
    home: Connection | None = None
    asked: Connection | None = None
    former: Connection | None = None
    ask_until_s: float = 0.0
    home_since_s: float = 0.0
    retry_at_s: float | None = None
    retry_at_ms: int | None = None
    room_told: bool = False
    """Whether the server said the room-id since the channel is heard on `home`."""
    queued: bool = False
    failures: int = 0
    reason: str = ""
    shown: State = "wanted"
    """The state as last reported."""
    tried: tuple[Attempt, ...] = ()
    unanswered_on: tuple[int, ...] = ()
    """Connections that did not answer its JOIN since it was heard last."""

    @property
    def state(self) -> State:
        """Which of the states above."""
        if not self.wanted:
            return "leaving"
        if self.home is not None:
            return "moving" if self.home.draining else "joined"
        if self.asked is not None:
            return "joining"
        return "wanted" if self.retry_at_s is None else "parked"

    @property
    def to_be_joined(self) -> bool:
        """Whether a JOIN is due as soon as the pacing lets it through."""
        if not self.wanted or self.asked is not None or self.retry_at_s is not None:
            return False
        return self.home is None or self.home.draining

    def note(self, at_ms: int, what: str, outcome: str) -> None:
        """Remember an attempt."""
        self.tried = (*self.tried[1 - MAX_TRIED :], Attempt(at_ms, what, outcome))

    def note_unanswered(self, connection: int) -> None:
        """Remember a connection that did not answer its JOIN."""
        others = [one for one in self.unanswered_on if one != connection]
        self.unanswered_on = (*others[1 - MAX_UNANSWERED :], connection)

    def forget_unanswered(self, connection: int) -> None:
        """That connection answered nobody."""
        if connection in self.unanswered_on:
            self.unanswered_on = tuple(one for one in self.unanswered_on if one != connection)

    def ask(self, connection: Connection, until_s: float) -> None:
        """A JOIN was sent there; an answer is awaited until then."""
        self.asked, self.ask_until_s = connection, until_s
        connection.channels.add(self.login)

    def confirm(self, connection: Connection, now_s: float) -> Connection | None:
        """The server lets us hear it there. Returns where it was heard before and may be left, if anywhere."""
        before = self.home
        self.home, self.home_since_s, self.room_told = connection, now_s, False
        if self.asked is connection:
            self.asked = None
        self.retry_at_s = self.retry_at_ms = None
        self.reason, self.unanswered_on = "", ()
        connection.channels.add(self.login)
        return before

    def leave(self, connection: Connection, now_s: float) -> bool:
        """It is no longer joined or asked for there. Returns whether it was heard there."""
        heard = connection is self.home or connection is self.former
        if connection is self.home:
            # During the overlap of a move it is still heard where it came from.
            self.home, self.former = self.former, None
            if now_s - self.home_since_s >= STEADY_S:
                self.failures = 0
        if connection is self.former:
            self.former = None
        if connection is self.asked:
            self.asked = None
        connection.channels.discard(self.login)
        return heard

    def park(self, reason: str, retry_at_s: float, retry_at_ms: int) -> None:
        """Wait until then before the next try; both name the same moment."""
        self.reason, self.retry_at_s, self.retry_at_ms = reason, retry_at_s, retry_at_ms

    def seen(self) -> ChannelState:
        """As people see it."""
        home = self.home or self.asked
        return ChannelState(
            self.login,
            self.room_id,
            self.state,
            self.reason,
            self.since_ms,
            self.retry_at_ms,
            None if home is None else home.number,
            self.failures,
            self.tried,
        )
