"""One channel within a shard: its open epochs, coverage, frontier, and how far it is closed."""

from typing import Final

import numpy as np

from schemas.policy import Policy
from streams.core.coverage import Coverage
from streams.core.fold import EpochFold, fold
from streams.core.outputs import LiveView
from streams.core.pairs import viewer_numbers
from streams.core.resume import Closing

MAX_SOURCES: Final = 64
"""Producer sessions whose sequence numbers are followed per channel; the oldest is forgotten first."""
TOP_VIEWERS: Final = 10


class OpenEpoch:
    """An epoch that has events or coverage and is not closed."""

    __slots__ = ("events", "first_offset")

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self.events = EpochFold()


class Channel:
    """Everything a shard holds of one channel."""

    __slots__ = (
        "_sources",
        "closed_at_offset",
        "closed_until_ms",
        "coverage",
        "frontier_ms",
        "identity",
        "login",
        "open",
    )

    def __init__(self, identity: str, login: str, closing: Closing | None) -> None:
        """closing: how far the channel was closed before the shard's first record, if it ever was."""
        self.identity = identity
        self.login = login
        self.open: dict[int, OpenEpoch] = {}
        self.coverage = Coverage()
        self.closed_until_ms = closing.until_ms if closing else 0
        self.closed_at_offset = closing.offset if closing else -1
        self.frontier_ms: int | None = closing.frontier_ms if closing else None
        self._sources: dict[str, int] = {}

    def observe(self, start_ms: int, end_ms: int, kind: str) -> None:
        """Take in one observation and move the frontier; it never goes back. One of closed time alone starts none: it
        keeps no epoch open, so a worker that starts later would not know of it."""
        if self.frontier_ms is None and end_ms <= self.closed_until_ms:
            return
        self.coverage.add(start_ms, end_ms, kind)
        if self.frontier_ms is None:
            self.frontier_ms = max(start_ms, self.closed_until_ms)
        self.frontier_ms = self.coverage.reaches(self.frontier_ms)

    def close(self, starts: list[int], length_ms: int, offset: int, *, ended: bool) -> None:
        """Drop closed epochs. After an end the next observation starts a new frontier."""
        for start in starts:
            del self.open[start]
        if starts:
            self.closed_until_ms = max(self.closed_until_ms, starts[-1] + length_ms)
            self.coverage.prune(self.closed_until_ms)
        self.closed_at_offset = offset
        if ended:
            self.frontier_ms = None
            self._sources.clear()

    def sequence(self, source: str, seq: int) -> tuple[int, int]:
        """(envelopes lost, envelopes repeated) that this sequence number shows."""
        previous = self._sources.get(source)
        if previous is None:
            if len(self._sources) >= MAX_SOURCES:
                del self._sources[next(iter(self._sources))]
            self._sources[source] = seq
            return 0, 0
        if seq <= previous:
            return 0, 1
        self._sources[source] = seq
        return seq - previous - 1, 0

    def view(self, start_ms: int, policy: Policy) -> LiveView:
        """How an open epoch stands."""
        columns, pairs = self.open[start_ms].events.columns()
        folded = fold(columns, pairs, *viewer_numbers(pairs), policy)
        messages = folded.counts.messages
        top = np.argsort(messages, kind="stable")[::-1][:TOP_VIEWERS]
        frontier = self.frontier_ms
        return LiveView(
            self.identity,
            self.login,
            start_ms // 1000,
            len(folded.pairs),
            int(messages.sum(dtype=np.uint64)),
            int(folded.counts.weight_centi.sum()),
            frontier,
            None if frontier is None else frontier - policy.grace_s * 1000,
            list(zip(pairs.logins(folded.pairs[top]), messages[top].tolist(), strict=True)),
        )
