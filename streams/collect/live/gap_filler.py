"""Fills gaps from history: asks, hands over what it got, asks again, and gives up in time. Between Intake and history.

holes of the Intake -> GapFiller -> HistoryClient -> recovered(...) | absent(...) of the Intake
"""

import asyncio
import logging
from typing import Final, NamedTuple, Protocol

from schemas.columns import EventColumns
from streams.collect.live.history import HistoryError, Recovered
from streams.collect.live.metrics import CollectMetrics

PATIENCE_S: Final = 60.0
"""After so long a gap is declared absent (design: Time)."""
MAX_WAITING: Final = 1_000
"""Gaps in work at once; a further one is declared absent at once, counted."""
AT_ONCE: Final = 4
"""Requests under way."""
FIRST_PAUSE_S: Final = 2.0
"""Before the second try; then twice as long each time. The lines after a gap have to come before it can be filled."""
MAX_PAUSE_S: Final = 15.0
_log = logging.getLogger(__name__)


class Gap(NamedTuple):
    """[from_ms, to_ms) of a channel that nobody observed. channel: its identity; login: its name now."""

    channel: str
    login: str
    from_ms: int
    to_ms: int


class Filled(Protocol):
    """What the Intake is told; see streams.collect.live.port."""

    def recovered(self, channel: str, events: EventColumns, from_ms: int, to_ms: int) -> None: ...
    def absent(self, channel: str, from_ms: int, to_ms: int) -> None: ...


class History(Protocol):
    """See history.HistoryClient."""

    async def fetch(self, channel: str, login: str, from_ms: int, to_ms: int) -> Recovered: ...


class GapFiller:
    """metrics: counts gaps, tries, what was recovered and given up. One event loop; `close` when done."""

    def __init__(
        self,
        history: History,
        filled: Filled,
        metrics: CollectMetrics | None = None,
        *,
        patience_s: float = PATIENCE_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.metrics = metrics or CollectMetrics()
        self._history = history
        self._filled = filled
        self._patience_s = patience_s
        self._first_pause_s = first_pause_s
        self._places = asyncio.Semaphore(AT_ONCE)
        self._work: dict[Gap, asyncio.Task[None]] = {}

    def fill(self, gap: Gap) -> None:
        """Take a gap in work, without waiting; one that lies within one in work is left to that."""
        for other in self._work:
            if other.channel == gap.channel and other.from_ms <= gap.from_ms and gap.to_ms <= other.to_ms:
                return
        self.metrics.gaps_total += 1
        if len(self._work) >= MAX_WAITING:
            self.metrics.gaps_too_many_total += 1
            self._give_up(gap)
            return
        task = asyncio.create_task(self._fill(gap))
        self._work[gap] = task
        task.add_done_callback(lambda _: self._work.pop(gap, None))

    @property
    def in_work(self) -> int:
        """Gaps that are neither filled nor given up."""
        return len(self._work)

    async def close(self) -> None:
        """Stop; nothing is said of the gaps still in work, the Intake's own time-out is left to do that."""
        tasks = list(self._work.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, gap: Gap) -> None:
        loop = asyncio.get_running_loop()
        deadline_s, pause_s = loop.time() + self._patience_s, self._first_pause_s
        while True:
            found = await self._ask(gap, deadline_s)
            if found is not None:
                gap = self._hand_over(gap, found)
            if gap.from_ms >= gap.to_ms:
                return
            if loop.time() + pause_s >= deadline_s:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        self._give_up(gap)

    async def _ask(self, gap: Gap, deadline_s: float) -> Recovered | None:
        self.metrics.gap_tries_total += 1
        try:
            async with asyncio.timeout_at(deadline_s), self._places:
                return await self._history.fetch(gap.channel, gap.login, gap.from_ms, gap.to_ms)
        except (HistoryError, TimeoutError) as error:
            self.metrics.gap_tries_failed_total += 1
            _log.info("history of %s: %s", gap.channel, error or "no answer in time")
            return None

    def _hand_over(self, gap: Gap, found: Recovered) -> Gap:
        """Tell what was found; returns what is left to find."""
        if found.from_ms < found.to_ms:
            self.metrics.gap_recovered_events_total += len(found.events)
            self.metrics.gap_recovered_ms_total += found.to_ms - found.from_ms
            self._filled.recovered(gap.channel, found.events, found.from_ms, found.to_ms)
        # The service only forgets: what it no longer has need not wait.
        gone_ms = min(found.gone_before_ms, gap.to_ms)
        if gap.from_ms < gone_ms:
            self._give_up(gap._replace(to_ms=gone_ms))
        return gap._replace(from_ms=max(gone_ms, found.to_ms if found.from_ms < found.to_ms else gap.from_ms))

    def _give_up(self, gap: Gap) -> None:
        self.metrics.gap_absent_ms_total += gap.to_ms - gap.from_ms
        self._filled.absent(gap.channel, gap.from_ms, gap.to_ms)
