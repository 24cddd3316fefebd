"""What the local Twitch said, held against what is on the log: the two things a collector can do wrong.

It claims a time of which it does not have everything; or it claims too little. Pure; times in ms of Twitch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Intervals = list[tuple[int, int]]
SHOWN: Final = 5
"""Findings of one kind that are told one by one."""


@dataclass(slots=True)
class Kept:
    """One channel on the log. events: (id, at) of each, doubles once; live: intervals as claimed, of any order."""

    events: set[tuple[bytes, int]] = field(default_factory=set)
    live: Intervals = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """One channel as the server told it, heard by anybody or not: ids (n,) V16, at (n,)."""

    ids: NDArray[Any]
    at: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """missing: events that are not on the log at a time claimed as live; foreign: events on the log that nobody said;
    idle: channels that claim too little, with what is unclaimed and what may be. The rest are figures."""

    missing: list[tuple[str, bytes, int]]
    foreign: list[tuple[str, bytes, int]]
    idle: dict[str, tuple[int, int]]
    said_events: int
    kept_events: int
    unclaimed_ms: dict[str, int]

    @property
    def faults(self) -> list[str]:
        """Empty where all is well."""
        out = [f"#{login}: claimed, and not on the log: {one.hex()} of {at}" for login, one, at in self.missing[:SHOWN]]
        out += [f"#{login}: on the log, and never said: {one.hex()} of {at}" for login, one, at in self.foreign[:SHOWN]]
        idle = list(self.idle.items())[:SHOWN]
        out += [f"#{login}: {got} ms are unclaimed, {most} ms may be" for login, (got, most) in idle]
        counts = {"missing": len(self.missing), "foreign": len(self.foreign), "idle": len(self.idle)}
        return [str(counts), *out] if out else []


def judge(
    told: Mapping[str, Told], kept: Mapping[str, Kept], span: tuple[int, int], allowed_ms: Mapping[str, int]
) -> Verdict:
    """All by login. span: in which every channel should be claimed, but for allowed_ms of it."""
    missing, foreign, idle, unclaimed_ms = [], [], {}, {}
    for login in sorted(told.keys() | kept.keys()):
        of_server = told.get(login) or Told(np.empty(0, "V16"), np.empty(0, np.int64))
        of_log = kept.get(login) or Kept()
        live = union(of_log.live)
        ids = [one.tobytes() for one in of_server.ids]
        there = {one for one, _ in of_log.events}
        for row in np.flatnonzero(within(of_server.at, live)).tolist():
            if ids[row] not in there:
                missing.append((login, ids[row], int(of_server.at[row])))
        said = set(zip(ids, of_server.at.tolist(), strict=True))
        foreign += [(login, *one) for one in sorted(of_log.events - said)]
        unclaimed_ms[login] = span[1] - span[0] - covered_ms(live, span)
        if unclaimed_ms[login] > allowed_ms[login]:
            idle[login] = unclaimed_ms[login], allowed_ms[login]
    said_events = sum(len(np.unique(one.ids)) for one in told.values())
    kept_events = sum(len(one.events) for one in kept.values())
    return Verdict(missing, foreign, idle, said_events, kept_events, unclaimed_ms)


def union(intervals: Intervals) -> Intervals:
    """Disjoint and rising; those that touch become one."""
    out: Intervals = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return out


def within(at: NDArray[np.int64], intervals: Intervals) -> NDArray[np.bool_]:
    """(n,) whether each lies in one of the intervals [start, end), which are disjoint and rising."""
    if not intervals:
        return np.zeros(len(at), np.bool_)
    starts, ends = np.array(intervals, np.int64).T
    place = np.searchsorted(starts, at, "right") - 1
    inside: NDArray[np.bool_] = (place >= 0) & (at < ends[place])
    return inside


def covered_ms(intervals: Intervals, span: tuple[int, int]) -> int:
    """How much of span they cover."""
    return sum(max(0, min(end, span[1]) - max(start, span[0])) for start, end in intervals)
