"""The discovery: asks Helix who is live, says on `control` which channels it wants, and how many watch.

In: Helix, the control view. Out: wanted and unwanted records of origin discovery, so that collectors need not know that
it exists, and a snapshot of every wanted live channel every five minutes. While Helix does not answer nothing changes.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from schemas import control as records
from schemas.identity import of_id
from streams.collect.live.app_token import BadCredentials, HelixError
from streams.collect.live.control import ControlView, say
from streams.collect.live.helix import Helix, Pacing, Stream
from streams.collect.live.selection import Selection, SelectionBounds
from streams.log.port import Log, LogError

logger: Final = logging.getLogger(__name__)

ROUND_S: Final = 60.0
SNAPSHOT_EVERY_S: Final = 300.0
MAX_ASKED: Final = 2_000
"""Channels asked for by name in one round; of more only these, and the rest is counted."""
BY: Final = "discovery"


@dataclass(slots=True)
class DiscoveryCounters:
    """What the rounds came to."""

    rounds_total: int = 0
    rounds_failed_total: int = 0
    """Rounds without an answer of Helix, or whose result did not reach the log; the next one starts anew."""
    entered_total: int = 0
    left_total: int = 0
    snapshots_total: int = 0
    not_asked_total: int = 0
    """Channels over MAX_ASKED: without snapshots, and picked ones count as missed."""


class Discovery:
    """One discovery. Several of one configuration do no harm: each says the same under the same keys."""

    def __init__(
        self, log: Log, helix: Helix, view: ControlView, bounds: SelectionBounds, pacing: Pacing | None = None
    ) -> None:
        self.counters = DiscoveryCounters()
        self._log = log
        self._helix = helix
        self._view = view
        self._selection = Selection(bounds)
        self._pacing = pacing or Pacing()
        self._snapshots_due_s = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """A round each minute until stop is set. Raises BadCredentials where the very first answer is that."""
        await self._view.ready()
        while not stop.is_set():
            try:
                await self.round()
            except (HelixError, LogError) as error:
                self.counters.rounds_failed_total += 1
                if isinstance(error, BadCredentials) and not self.counters.rounds_total:
                    raise
                logger.warning("a round of the discovery failed: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), ROUND_S)

    async def round(self) -> None:
        """Ask, pick, say. Raises HelixError, LogError; then nothing was picked in this round."""
        sets = self._view.sets
        picked = {login: each["discovery"].room_id for login, each in sets.wishes.items() if "discovery" in each}
        wanted = sets.wanted()
        allowed, denied = sets.ruled("allow"), sets.ruled("deny")
        streams = await self._live(sorted(allowed), sorted(wanted | picked.keys()))
        now_ms = int(self._pacing.wall_s() * 1000)
        changes = self._selection.step(picked, streams, now_ms, allowed, denied)
        said: list[records.Record] = [
            records.Unwanted(records.VERSION, one.login, "discovery", BY, now_ms, one.note) for one in changes.left
        ]
        said += [
            records.Wanted(records.VERSION, one.login, one.room_id, "discovery", BY, now_ms, one.note)
            for one in changes.entered
        ]
        await say(self._log, *said)
        self.counters.entered_total += len(changes.entered)
        self.counters.left_total += len(changes.left)
        left, entered = {one.login for one in changes.left}, {one.login for one in changes.entered}
        # An operator's own wish outlives the discovery's.
        operators = {login for login, each in sets.wishes.items() if "operator" in each}
        now_wanted = (wanted - (left - operators)) | entered
        await self._snapshots([one for one in streams if one.login in now_wanted], now_ms)
        self.counters.rounds_total += 1

    async def _live(self, allowed: list[str], wanted: list[str]) -> list[Stream]:
        """Live streams: the allowed ones or the most watched, and whoever is wanted besides."""
        least = self._selection.bounds.stay_viewers
        streams = await self._helix.live_among(allowed[:MAX_ASKED]) if allowed else await self._helix.top(least)
        seen = {one.login for one in streams}.union(allowed[:MAX_ASKED])
        besides = [login for login in wanted if login not in seen]
        self.counters.not_asked_total += len(besides[MAX_ASKED:]) + len(allowed[MAX_ASKED:])
        return streams + await self._helix.live_among(besides[:MAX_ASKED])

    async def _snapshots(self, streams: list[Stream], now_ms: int) -> None:
        if self._pacing.steady_s() < self._snapshots_due_s:
            return
        await say(
            self._log,
            *(
                records.Snapshot(
                    records.VERSION,
                    of_id(one.room_id),
                    one.login,
                    now_ms,
                    one.viewers,
                    one.title,
                    one.game,
                    one.started_at_ms,
                )
                for one in streams
            ),
        )
        self._snapshots_due_s = self._pacing.steady_s() + SNAPSHOT_EVERY_S
        self.counters.snapshots_total += len(streams)
