"""The reconciler on connections that only remember, and a clock that the test moves."""

import random
from collections.abc import Container, Sequence
from typing import Any, cast

from streams.collect.irc import parse_line
from streams.collect.live.connection import Connection
from streams.collect.live.membership import Attempt, ChannelState
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.roster import Roster
from tests.recording_intake import RecordingIntake


class Line:
    """A connection that remembers what it was told to send."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.nick = b"justinfan1"
        self.channels: set[str] = set()
        self.parting: set[str] = set()
        self.room = 90
        self.draining = False
        self.over = False
        self.sent: list[str] = []

    def join(self, logins: list[str]) -> None:
        self.sent += [f"JOIN {login}" for login in logins]

    def part(self, logins: list[str]) -> None:
        self.sent += [f"PART {login}" for login in logins]


class World:
    """Reconciler, its connections, and time."""

    def __init__(
        self, seed: int, lines: int = 1, pacing: Pacing | None = None, known: dict[str, str] | None = None
    ) -> None:
        self.now_s = 1_000.0
        self.lines = [Line(number) for number in range(1, lines + 1)]
        self.ensured: list[int] = []
        self.emptied_lines: list[int] = []
        self.replaces = False
        """Whether it follows leave_soon: the pool does so only now and then."""
        self.left: list[tuple[int, str]] = []
        self.intake = RecordingIntake()
        self.intake._tell = self.intake.told.append  # type: ignore[method-assign, assignment]  # no loop here
        self.metrics = CollectMetrics()
        self.reported: list[tuple[str, str]] = []
        self.tries: list[tuple[str, str, str]] = []
        self.told_tries: list[Attempt] = []
        self.roster = Roster(
            cast(Any, self),
            self.intake,
            self.metrics,
            reports=self,
            room_id_of=(known or {}).get,
            chance=random.Random(seed),
            clock_s=lambda: self.now_s,
            clock_ms=lambda: int(self.now_s * 1000),
        )
        self.it = Reconciler(self.roster, pacing or Pacing(1_000))

    # the pool
    def ensure(self, places: int) -> None:
        self.ensured.append(places)

    def place(self, avoid: Container[int] = ()) -> Connection | None:
        free = [one for one in self.lines if not one.draining and len(one.channels) < one.room]
        return cast(Connection, min(free, key=lambda one: (one.number in avoid, len(one.channels)), default=None))

    def leave_soon(self, connection: Connection, why: str) -> None:
        if self.replaces:
            self.left.append((connection.number, why))
            connection.draining = True
            self.lines.append(Line(len(self.lines) + 1))
            self.it.leave_soon(connection, why)

    def occupied(self) -> int:
        return sum(len(one.channels) for one in self.lines if not one.draining)

    def open_count(self) -> int:
        return len(self.lines)

    def emptied(self, connection: Connection) -> None:
        self.emptied_lines.append(connection.number)

    # the reports
    def report(
        self,
        login: str,
        state: str,
        reason: str = "",
        room_id: str | None = None,
        *,
        since_ms: int | None = None,
        tried: Sequence[Attempt] = (),
    ) -> None:
        self.reported.append((login, state))
        assert since_ms is None or since_ms <= int(self.now_s * 1000)
        for one in tried:
            assert len(one.outcome) < 200
            if not any(one is told for told in self.told_tries):
                self.told_tries.append(one)
                self.tries.append((login, one.what, one.outcome))

    # what a test does
    def want(self, *logins: str) -> None:
        self.it.want(frozenset(logins))
        self.it.step()

    def say(self, line: bytes, on: int = 1) -> None:
        self.it.said(cast(Connection, self.lines[on - 1]), parse_line(line), int(self.now_s * 1000))
        self.it.step()

    def confirm(self, login: str, room_id: int | None = None, on: int = 1) -> None:
        self.say(b":justinfan1!justinfan1@t JOIN #" + login.encode(), on)
        if room_id is not None:
            self.say(b"@room-id=%d :t ROOMSTATE #%s" % (room_id, login.encode()), on)

    def drain(self, on: int = 1) -> None:
        self.lines[on - 1].draining = True
        self.it.leave_soon(cast(Connection, self.lines[on - 1]), "RECONNECT")
        self.it.step()

    def end(self, on: int = 1) -> None:
        line = self.lines[on - 1]
        line.draining = line.over = True  # the pool has it no more
        self.it.ended(cast(Connection, line), "reset")
        self.it.step()

    def pass_s(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + self.it.step())
        self.it.step()

    def state(self, login: str) -> ChannelState:
        return next(one for one in self.it.states() if one.login == login)

    def sent(self, on: int = 1) -> list[str]:
        return self.lines[on - 1].sent
