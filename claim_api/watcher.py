"""Follows the read models: hears of new seals and moved boards by NOTIFY, and looks at least every `refresh_ms`.

In: notices of projections.read.SEALS_NOTIFY and BOARDS_NOTIFY. Out: calls of the index and the stream hub with rows in
order of seal_id, each once. A lost connection is made again; nothing that happened meanwhile is missed, because it
reads from the last seal_id that it has handed on.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any, Final, Protocol

from claim_api.counters import Counters
from claim_api.database import ReadOnlyDatabase
from claim_api.database_faults import FAULTS
from projections import read, rows
from projections.rows import Standing

logger: Final = logging.getLogger("twzrd.api")
PAGE_SEALS: Final = 500


class Follower(Protocol):
    """Who wants to hear."""

    def start_at(self, seal_id: int) -> None: ...
    def seals(self, seals: list[rows.Epoch]) -> None: ...
    def boards(self, boards: list[rows.Board]) -> None: ...
    def wants_boards(self) -> int: ...


class Watcher:
    """One task. `last_seal_id` is what was handed on; `seen_at_s` (monotonic) when the database last answered."""

    def __init__(self, database: ReadOnlyDatabase, follower: Follower, refresh_ms: int, counters: Counters) -> None:
        self._database, self._follower, self._counters = database, follower, counters
        self._refresh_s = refresh_ms / 1000
        self._noticed = asyncio.Event()
        self._boards_moved = True
        self.last_seal_id: int | None = None
        self.seen_at_s = float("-inf")
        self._standing = Standing(0, 0, 0)
        counters.gauges["stopped_channels"] = lambda: self._standing.stopped
        counters.gauges["alarms"] = lambda: self._standing.alarms

    def wake(self) -> None:
        """Look now: a stream wants boards."""
        self._boards_moved = True
        self._noticed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._follow()
            except FAULTS as fault:
                self._counters.events["watcher_faults"] += 1
                logger.warning("the watcher lost the database: %s: %s", type(fault).__name__, fault)
                await asyncio.sleep(self._refresh_s)

    async def _follow(self) -> None:
        connection = await self._database.connect()
        try:
            await connection.add_listener(read.SEALS_NOTIFY, self._on_seals)
            await connection.add_listener(read.BOARDS_NOTIFY, self._on_boards)
            while True:
                self._noticed.clear()
                await self._look(connection)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._refresh_s):
                        await self._noticed.wait()
        finally:
            connection.terminate()

    async def _look(self, connection: Any) -> None:
        self._standing = await read.standing(connection)
        newest = self._standing.last_seal_id
        if self.last_seal_id is None or newest < self.last_seal_id:
            if self.last_seal_id is not None:
                logger.warning(
                    "the newest seal is %d and was %d: another database stands here", newest, self.last_seal_id
                )
            self.last_seal_id = newest
            self._follower.start_at(newest)
        while seals := await read.seals_after(connection, self.last_seal_id, PAGE_SEALS):
            self.last_seal_id = seals[-1].seal_id
            self._follower.seals(seals)
        self.seen_at_s = time.monotonic()
        wanted = self._follower.wants_boards()
        if wanted and self._boards_moved:
            self._boards_moved = False
            self._follower.boards(await read.live_boards(connection, wanted))

    def _on_seals(self, *_: object) -> None:
        self._noticed.set()

    def _on_boards(self, *_: object) -> None:
        # Not woken for: boards are looked at once in refresh_ms, however often they move.
        self._boards_moved = True
