"""Work that many want and one does: a bounded cache by bytes with one build at a time for each key.

Entries are immutable. A hit is a dict look-up; a miss joins the build under way or starts it, up to a bound.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from claim_api.counters import Counters
from claim_api.errors import ApiError, busy

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BuiltCache(Generic[K, V]):
    """Least recently used entries out first. A build goes on when its askers have left; its result is for the next."""

    def __init__(self, name: str, max_bytes: int, max_builds: int, counters: Counters) -> None:
        """name: for the counters."""
        self._name, self._max_bytes, self._max_builds, self._counters = name, max_bytes, max_builds, counters
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._building: dict[K, asyncio.Task[V]] = {}
        self.held_bytes = 0
        counters.gauges[f"{name}_bytes"] = lambda: self.held_bytes
        counters.gauges[f"{name}_entries"] = lambda: len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry, if it is there now."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    async def fetch(self, key: K, build: Callable[[], Awaitable[tuple[V, int]]]) -> V:
        """The entry, built where it is not there. build returns the value and its bytes. Raises what build raises,
        and ApiError 503 where too many builds are under way."""
        found = self.get(key)
        if found is not None:
            return found
        task = self._building.get(key)
        if task is None:
            if len(self._building) >= self._max_builds:
                raise busy(f"builds of {self._name}", self._max_builds)
            task = self._building[key] = asyncio.create_task(self._build(key, build))
            # Somebody must take the exception when every asker has gone.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        else:
            self._counters.events[f"{self._name}_joined"] += 1
        return await asyncio.shield(task)

    async def _build(self, key: K, build: Callable[[], Awaitable[tuple[V, int]]]) -> V:
        try:
            value, size = await build()
        finally:
            del self._building[key]
        self._counters.events[f"{self._name}_builds"] += 1
        self._keep(key, value, size)
        return value

    def _keep(self, key: K, value: V, size: int) -> None:
        if size > self._max_bytes:
            self._counters.events[f"{self._name}_oversize"] += 1
            return
        self._entries[key] = (value, size)
        self.held_bytes += size
        while self.held_bytes > self._max_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.held_bytes -= freed
            self._counters.events[f"{self._name}_evictions"] += 1

    def check_size(self, needed: int, what: str) -> None:
        """Raises ApiError 503 where an entry of so many bytes could never be kept."""
        if needed > self._max_bytes:
            self._counters.events[f"{self._name}_oversize"] += 1
            raise ApiError(
                503,
                "epoch_too_large",
                f"{what} takes about {needed} bytes, over the bound of {self._max_bytes}",
                f"raise the bound {self._name}_bytes, or use `twzrd proof` or `twzrd export leaves` on the server",
            )

    def close(self) -> None:
        """Ends builds under way and lets everything go."""
        for task in self._building.values():
            task.cancel()
        self._entries.clear()
        self.held_bytes = 0
