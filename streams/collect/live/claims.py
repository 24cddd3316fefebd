"""What was observed of each channel, and what of it has been said. Used by the Intake; pure integers, ms.

In: which connection hears which channel since when, time stamps and bytes that arrived. Out: intervals [from_ms, to_ms)
in Twitch's time that may be claimed as live, and holes between them (design: Time).

What proves how far a connection was heard:
- a line stamped T: all that the server sent before about T has arrived (the stream is ordered);
- bytes without a stamp (PONG, NOTICE) only after SETTLING_MS: after a stall they may be the first of a backlog whose
  lines are still to come. By then either those lines have shown how far the connection lags, or there are none.
A claim ends MARGIN_MS before that, since lines arrive up to 0.4 s out of order. It begins JOIN_MARGIN_MS after the
confirmation arrived: the way of a line, by which the clocks are compared, holds some time that Twitch itself takes
between stamp and dispatch; a confirmation does not take that. The clocks are compared by the shortest way there.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MARGIN_MS: Final = 1_000
JOIN_MARGIN_MS: Final = 500
SETTLING_MS: Final = 1_000
MAX_LAG_MS: Final = 60_000
"""A line older than this is a repetition (or history), not a connection's lag."""


class Connection:
    """How far one connection was heard."""

    __slots__ = ("_lag_ms", "_settled_at_ms", "_stamped_ms", "_waiting_at_ms")

    def __init__(self) -> None:
        self._stamped_ms = 0
        self._lag_ms = 0
        self._waiting_at_ms: int | None = None
        self._settled_at_ms: int | None = None

    def heard(self, at_ms: int) -> None:
        """Some byte arrived at that time of this machine."""
        self._settle(at_ms)
        if self._waiting_at_ms is None:
            self._waiting_at_ms = at_ms

    def stamped(self, at_ms: int, newest_ms: int, ahead_ms: int) -> None:
        """Lines arrived whose newest stamp is newest_ms."""
        now_ms = at_ms - ahead_ms
        lag_ms = max(0, now_ms - newest_ms)
        if lag_ms <= MAX_LAG_MS:
            self._lag_ms = lag_ms
            self._stamped_ms = max(self._stamped_ms, min(newest_ms, now_ms))

    def reached_ms(self, now_ms: int, ahead_ms: int) -> int:
        """Twitch's time up to which all has arrived; 0 where nothing is known. now_ms: this machine's; the connection
        is alive then."""
        self._settle(now_ms)
        return self.ended_ms(ahead_ms)

    def ended_ms(self, ahead_ms: int) -> int:
        """The same of a connection that is gone: bytes that did not settle prove nothing."""
        if self._settled_at_ms is None:
            return self._stamped_ms
        return max(self._stamped_ms, self._settled_at_ms - ahead_ms - self._lag_ms)

    def _settle(self, now_ms: int) -> None:
        if self._waiting_at_ms is not None and now_ms - self._waiting_at_ms >= SETTLING_MS:
            self._settled_at_ms, self._waiting_at_ms = self._waiting_at_ms, None


class Hole(NamedTuple):
    """A stretch of a channel that nothing covers yet, between two that something does."""

    channel: str
    login: str
    from_ms: int
    to_ms: int
    noticed_at_ms: int


class Said:
    """Disjoint, rising intervals that have been said of a channel, of whatever kind."""

    __slots__ = ("intervals",)

    def __init__(self) -> None:
        self.intervals: tuple[tuple[int, int], ...] = ()

    def add(self, start: int, end: int) -> None:
        """Take in [start, end); touching intervals join."""
        held = self.intervals
        first = bisect_left(held, start, key=lambda one: one[1])
        last = bisect_right(held, end, key=lambda one: one[0])
        if first < last:
            start, end = min(start, held[first][0]), max(end, held[last - 1][1])
        self.intervals = (*held[:first], (start, end), *held[last:])

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of [start, end) has not been said."""
        out = []
        for said_from, said_to in self.intervals:
            if said_to <= start:
                continue
            if said_from >= end:
                break
            if said_from > start:
                out.append((start, said_from))
            start = said_to
        if start < end:
            out.append((start, end))
        return out

    def within(self, start: int, end: int) -> int:
        """How much of [start, end) has been said, in ms."""
        return sum(max(0, min(end, to) - max(start, since)) for since, to in self.intervals)

    def gaps(self) -> list[tuple[int, int]]:
        """The stretches between them."""
        held = self.intervals
        return [(held[i][1], held[i + 1][0]) for i in range(len(held) - 1)] if len(held) > 1 else []


@dataclass(slots=True)
class Hearing:
    """One connection that hears a channel. at_ms: this machine's time at which the channel was confirmed there; login:
    under which name it was so last."""

    connection: int
    at_ms: int
    login: str
    _since_ms: int | None = None

    def since_ms(self, least_ms: int, reached_ms: int) -> int:
        """From when on it may be claimed, in Twitch's time: never before the confirmation, so by the least that the
        clocks may differ (`TwitchClock.usable_least_ms`). A better estimate moves it until something is claimed, up to
        reached_ms, and no more from then on."""
        if self._since_ms is not None:
            return self._since_ms
        since_ms = self.at_ms - least_ms + JOIN_MARGIN_MS
        if reached_ms - MARGIN_MS > since_ms:
            self._since_ms = since_ms
        return since_ms


@dataclass(slots=True)
class Observed:
    """One channel: who hears it, what was said of it, and what it sent. seq: of its next envelope. There may be many
    thousands, so what most of them have none of is an empty tuple, which all share."""

    channel: str
    login: str
    seq: int = 0
    hearing: tuple[Hearing, ...] = ()
    said: Said = field(default_factory=Said)
    floor_ms: int = 0
    """Twitch's time up to which something was dropped; nothing before it may be claimed any more."""
    sent_at_ms: int = 0
    events: int = 0
    dropped_events: int = 0
    late_events: int = 0
    """Events that came when their time had been claimed already."""
    last_event_ms: int = 0
    _ended: tuple[tuple[int, int], ...] = ()
    _noticed: tuple[tuple[int, int, int], ...] = ()
    """Holes: from, to, and when they were noticed."""

    def on(self, connection: int) -> Hearing | None:
        """How that connection hears the channel; None where it does not."""
        return next((one for one in self.hearing if one.connection == connection), None)

    def hear(self, connection: int, at_ms: int, login: str) -> bool:
        """The channel was confirmed there under that login. False: it is heard there already, since when it was."""
        if (there := self.on(connection)) is not None:
            there.login = login
            return False
        self.hearing = (*self.hearing, Hearing(connection, at_ms, login))
        return True

    def is_heard_as(self, login: str) -> bool:
        """Whether some connection hears it under that login, which it may not bear any more."""
        return any(one.login == login for one in self.hearing)

    def end(self, connection: int, reached_ms: int, least_ms: int | None) -> None:
        """The channel is no longer heard there; what was heard remains to be claimed."""
        if (ending := self.on(connection)) is None:
            return
        if least_ms is not None:
            self._ended = (*self._ended, (ending.since_ms(least_ms, reached_ms), reached_ms - MARGIN_MS))
        self.hearing = tuple(one for one in self.hearing if one is not ending)

    def claimable(
        self, connections: dict[int, Connection], now_ms: int, ahead_ms: int, least_ms: int
    ) -> list[tuple[int, int]]:
        """Live intervals that may be said now and were not yet, rising. Say them, then call `claimed` or `dropped`."""
        heard = []
        for one in self.hearing:
            reached_ms = connections[one.connection].reached_ms(now_ms, ahead_ms)
            heard.append((one.since_ms(least_ms, reached_ms), reached_ms - MARGIN_MS))
        if self._ended:
            heard += self._ended
            self._ended = ()
        if len(heard) == 1:
            return self.said.missing(max(heard[0][0], self.floor_ms), heard[0][1])
        union = Said()
        for start, end in heard:
            if max(start, self.floor_ms) < end:
                union.add(max(start, self.floor_ms), end)
        return [stretch for start, end in union.intervals for stretch in self.said.missing(start, end)]

    def claimed(self, start_ms: int, end_ms: int, now_ms: int) -> int:
        """An interval was said live. Returns how many holes that shows which were not known at now_ms."""
        self.said.add(start_ms, end_ms)
        noticed = []
        new = 0
        for start, end in self.said.gaps():
            # What is left of a hole was noticed when all of it was.
            known = [at for since, to, at in self._noticed if since < end and start < to]
            new += not known
            noticed.append((start, end, min(known, default=now_ms)))
        self._noticed = tuple(noticed)
        return new

    def filled(self, start_ms: int, end_ms: int) -> None:
        """An interval within what lies between claims was said recovered or absent."""
        self.claimed(start_ms, end_ms, self.sent_at_ms)

    def dropped(self, until_ms: int) -> None:
        """Events or intervals up to that time were lost here: a hole stays open up to it."""
        self.floor_ms = max(self.floor_ms, until_ms)

    def holes(self) -> list[Hole]:
        """Oldest first."""
        return [Hole(self.channel, self.login, *noticed) for noticed in self._noticed]

    @property
    def owes(self) -> bool:
        """Whether something is still to be said of what was heard, or of a hole."""
        return bool(self.hearing or self._ended) or len(self.said.intervals) > 1

    @property
    def said_to_ms(self) -> int:
        """The end of what was said; 0 where nothing was."""
        return self.said.intervals[-1][1] if self.said.intervals else 0
