"""Look-ups that come while others are under way are asked together: one query for all that waited.

In: keys, one a request. Out: the value of each, from a query that began after the request came, so that nobody is told
what stood before their own commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Final, Generic, TypeVar

from claim_api.errors import busy
from claim_api.part_counters import PartCounters

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_KEYS: Final = 256
"""Of one query."""
MAX_WAITING: Final = 4_096
AT_ONCE: Final = 2
"""Queries under way: while the database works on one, the next gathers."""


class Gathering(Generic[K, V]):
    """look: takes distinct keys, gives the values of those that have one. name: for the counters."""

    def __init__(
        self,
        name: str,
        look: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        counters: PartCounters,
        *,
        at_once: int = AT_ONCE,
        max_keys: int = MAX_KEYS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._name, self._look, self._counts = name, look, counters.counts
        self._at_once, self._max_keys, self._max_waiting = at_once, max_keys, max_waiting
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._count = 0
        counters.gauges[f"{name}_waiting"] = lambda: self._count

    async def find(self, key: K) -> V | None:
        """The value, None where there is none. Raises what the query raises, and ApiError 503 over the bound."""
        if self._count >= self._max_waiting:
            self._counts[self._name, "refused"] += 1
            raise busy(self._name, self._max_waiting)
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        self._count += 1
        self._counts[self._name, "asked"] += 1
        if len(self._asking) < self._at_once:
            task = asyncio.create_task(self._ask())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return await future

    async def close(self) -> None:
        """Ends the queries under way; who waits is cancelled."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for futures in self._waiting.values():
            for future in futures:
                future.cancel()
        self._waiting.clear()
        self._count = 0

    async def _ask(self) -> None:
        while self._waiting:
            taken = self._take()
            try:
                found = await self._look(list(taken))
            except asyncio.CancelledError:
                _each(taken, lambda future: future.cancel())
                raise
            except Exception as error:  # noqa: BLE001 - each asker raises it in its own request
                _each(taken, lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
                continue
            for key, futures in taken.items():
                value = found.get(key)
                for future in futures:
                    if not future.done():
                        future.set_result(value)

    def _take(self) -> dict[K, list[asyncio.Future[V | None]]]:
        if len(self._waiting) <= self._max_keys:
            taken, self._waiting = self._waiting, {}
        else:
            taken = {key: self._waiting[key] for key in list(self._waiting)[: self._max_keys]}
            for key in taken:
                del self._waiting[key]
        self._count -= sum(map(len, taken.values()))
        self._counts[self._name, "queries"] += 1
        self._counts[self._name, "keys"] += len(taken)
        return taken


def _each(
    taken: Mapping[K, list[asyncio.Future[V | None]]], settle: Callable[[asyncio.Future[V | None]], object]
) -> None:
    for futures in taken.values():
        for future in futures:
            if not future.done():
                settle(future)
