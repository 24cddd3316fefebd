"""Which live channels the discovery picks: a pure step from round to round, with hysteresis so that none flaps.

In: who is picked now, which streams are live, what the operator allows and denies. Out: who enters and who leaves, with
the reason. What is remembered between rounds is only how often in a row something was seen; losing it costs a round.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.collect.live.helix import Stream

ENTER_ROUNDS: Final = 2
"""A channel enters when it fits in so many rounds in a row."""
LEAVE_ROUNDS: Final = 3
"""It leaves when it was offline or well below the bound in so many rounds in a row."""
STAY_SHARE: Final = 0.6
"""Well below: under this share of the least viewers."""
DISPLACE_FACTOR: Final = 1.5
"""When all places are taken, a newcomer needs so many times the viewers of the weakest to take its place."""


@dataclass(frozen=True, slots=True)
class SelectionBounds:
    """Whom to pick: at least `viewers`, live for live_for_ms, at most `channels` at a time."""

    viewers: int = 25
    live_for_ms: int = 600_000
    channels: int = 60

    @property
    def stay_viewers(self) -> int:
        """Below this a picked channel counts as missed."""
        return int(self.viewers * STAY_SHARE)


class Entered(NamedTuple):
    """A channel to collect from now on."""

    login: str
    room_id: str
    note: str


class Left(NamedTuple):
    """A channel to collect no longer."""

    login: str
    note: str


class Changes(NamedTuple):
    """What one round changes; leave first, then enter."""

    left: list[Left]
    entered: list[Entered]


class Selection:
    """Remembers rounds in a row. Bounded by what one round sees and by the picked channels."""

    def __init__(self, bounds: SelectionBounds) -> None:
        self.bounds = bounds
        self._misses: dict[str, int] = {}
        self._fits: dict[str, int] = {}

    def step(
        self,
        picked: Mapping[str, str | None],
        streams: Sequence[Stream],
        now_ms: int,
        allowed: Collection[str] = (),
        denied: Collection[str] = (),
    ) -> Changes:
        """picked: login -> room id where known. allowed: where not empty, nobody else is picked."""
        may = {one.room_id for one in streams if one.login not in denied and (not allowed or one.login in allowed)}
        by_room = {one.room_id: one for one in streams}
        by_login = {one.login: one for one in streams}
        changes = Changes([], [])
        viewers: dict[str, int] = {}
        misses: dict[str, int] = {}
        held: set[str] = set()
        for login, room_id in picked.items():
            stream = by_room.get(room_id or "") or by_login.get(login)
            reason, missed = self._leaves(login, stream, allowed, denied)
            if reason:
                changes.left.append(Left(login, reason))
                continue
            misses[login] = missed
            name = login
            if stream is not None:
                held.add(stream.room_id)
                if stream.login != login:
                    name = stream.login
                    changes.left.append(Left(login, f"is called {name} now"))
                    if name not in picked:
                        changes.entered.append(Entered(name, stream.room_id, f"was called {login}"))
            viewers[name] = stream.viewers if stream is not None else 0
        while len(viewers) > self.bounds.channels:
            self._displace(viewers, changes, f"only {self.bounds.channels} places")
        others = [one for one in by_room.values() if one.room_id in may - held and one.login not in viewers]
        self._enter(others, now_ms, viewers, changes)
        self._misses = misses
        return changes

    def _leaves(
        self, login: str, stream: Stream | None, allowed: Collection[str], denied: Collection[str]
    ) -> tuple[str, int]:
        """(why it leaves, or "" where it stays; misses in a row)."""
        if login in denied:
            return "denied", 0
        if allowed and login not in allowed:
            return "not among the allowed", 0
        if stream is not None and stream.viewers >= self.bounds.stay_viewers:
            return "", 0
        missed = self._misses.get(login, 0) + 1
        if missed < LEAVE_ROUNDS:
            return "", missed
        return ("offline" if stream is None else f"{stream.viewers} viewers"), missed

    def _enter(self, others: Sequence[Stream], now_ms: int, viewers: dict[str, int], changes: Changes) -> None:
        fits: dict[str, int] = {}
        ready = []
        for stream in others:
            if stream.viewers >= self.bounds.viewers and now_ms - stream.started_at_ms >= self.bounds.live_for_ms:
                fits[stream.room_id] = self._fits.get(stream.room_id, 0) + 1
                if fits[stream.room_id] >= ENTER_ROUNDS:
                    ready.append(stream)
        self._fits = fits
        for stream in sorted(ready, key=lambda one: (-one.viewers, one.login)):
            if len(viewers) >= self.bounds.channels:
                if stream.viewers < DISPLACE_FACTOR * min(viewers.values()):
                    return
                self._displace(
                    viewers, changes, f"{stream.login} has {stream.viewers} viewers and all places are taken"
                )
            viewers[stream.login] = stream.viewers
            changes.entered.append(Entered(stream.login, stream.room_id, f"{stream.viewers} viewers"))

    def _displace(self, viewers: dict[str, int], changes: Changes, reason: str) -> None:
        weakest = min(viewers, key=lambda login: (viewers[login], login))
        del viewers[weakest]
        changes.entered[:] = [one for one in changes.entered if one.login != weakest]
        changes.left.append(Left(weakest, reason))
