"""Pages kept in memory, each with the version of the data it was made from. Who asks learns the version from the
database first, so a page that is out of date is never served.

In: a key, a version, and how to make the page. Out: its bytes. Bounded by bytes, least recently used out first.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from claim_api.part_counters import PartCounters

MAX_BYTES: Final = 128 << 20
ENTRY_BYTES: Final = 400
"""Key, version and places of one page, about."""
Key = tuple[int, int, int]
Version = tuple[object, ...]


class KeptPages:
    """By viewer key, before, limit."""

    def __init__(self, counters: PartCounters, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._counts = max_bytes, counters.counts
        self._pages: OrderedDict[Key, tuple[Version, bytes]] = OrderedDict()
        self.held_bytes = 0
        counters.gauges["eligibility_pages_bytes"] = lambda: self.held_bytes

    async def page(self, key: Key, version: Version, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The page of that version. make: reads what is at least as new as the version. Raises what make raises."""
        kept = self._pages.get(key)
        if kept is not None and kept[0] == version:
            self._pages.move_to_end(key)
            return kept[1]
        body = await make()
        self._counts["eligibility_pages", "made"] += 1
        self._keep(key, version, body)
        return body

    def _keep(self, key: Key, version: Version, body: bytes) -> None:
        former = self._pages.pop(key, None)
        if former is not None:
            self.held_bytes -= len(former[1]) + ENTRY_BYTES
        if len(body) + ENTRY_BYTES > self._max_bytes:
            return
        self._pages[key] = version, body
        self.held_bytes += len(body) + ENTRY_BYTES
        while self.held_bytes > self._max_bytes:
            _, (_, dropped) = self._pages.popitem(last=False)
            self.held_bytes -= len(dropped) + ENTRY_BYTES
            self._counts["eligibility_pages", "dropped"] += 1
