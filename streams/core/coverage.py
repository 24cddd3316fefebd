"""Coverage: which stretches of time a channel was observed in, and its frontier (spec: Coverage). Pure integers, ms."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from schemas.seal import COVERAGE_CODES, COVERAGE_NAMES, Interval


class IntervalSet:
    """Disjoint, sorted, half-open intervals; touching ones join."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Take in [start, end)."""
        starts, ends = self._starts, self._ends
        if ends and start == ends[-1]:  # the common case: the next stretch of a quiet line
            ends[-1] = end
            return
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        if first < last:
            start = min(start, starts[first])
            end = max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]

    def end_of_run(self, at: int) -> int:
        """The end of the interval that covers `at`, or `at` itself where none does."""
        index = bisect_right(self._starts, at) - 1
        return max(at, self._ends[index]) if index >= 0 else at

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The intervals clipped to [start, end)."""
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                return
            yield max(start, self._starts[index]), min(end, self._ends[index])

    def prune(self, before: int) -> None:
        """Forget what lies wholly before that time."""
        done = bisect_right(self._ends, before)
        del self._starts[:done], self._ends[:done]

    def __len__(self) -> int:
        return len(self._starts)


class Coverage:
    """One channel's observations by kind; where they overlap live beats recovered beats absent."""

    def __init__(self) -> None:
        self._kinds = tuple(IntervalSet() for _ in COVERAGE_NAMES)
        self._union = IntervalSet()

    def add(self, start_ms: int, end_ms: int, kind: str) -> None:
        """Take in one observation."""
        self._kinds[COVERAGE_CODES[kind]].add(start_ms, end_ms)
        self._union.add(start_ms, end_ms)

    def reaches(self, frontier_ms: int) -> int:
        """The first ms at or after frontier_ms that nothing covers."""
        return self._union.end_of_run(frontier_ms)

    def clip(self, start_ms: int, end_ms: int) -> list[Interval]:
        """The coverage of [start_ms, end_ms) in order, each ms once with its best kind, equal neighbours joined."""
        edges: list[tuple[int, int, int]] = []
        for code, intervals in enumerate(self._kinds):
            for start, end in intervals.within(start_ms, end_ms):
                edges += [(start, 1, code), (end, -1, code)]
        edges.sort()
        depth = [0] * len(self._kinds)
        out: list[Interval] = []
        previous = start_ms
        for at, step, code in edges:
            best = next((name for name, open_ in zip(COVERAGE_NAMES, depth, strict=True) if open_), None)
            if at > previous and best is not None:
                if out and out[-1][1] == previous and out[-1][2] == best:
                    out[-1] = (out[-1][0], at, best)
                else:
                    out.append((previous, at, best))
            previous = at
            depth[code] += step
        return out

    def prune(self, before_ms: int) -> None:
        """Forget what lies wholly before that time."""
        for intervals in (*self._kinds, self._union):
            intervals.prune(before_ms)


def observed(intervals: list[Interval]) -> bool:
    """Whether any ms was live or recovered: then the hour is sealed even when nobody spoke."""
    return any(kind != "absent" for _, _, kind in intervals)
