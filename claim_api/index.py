"""Which epochs are sealed and in which newest revision, without asking the database for every request.

In: questions of the endpoints, and from the watcher every seal that was applied since. Out: rows of projections.rows.
An answer, also "there is none", is remembered until a seal of that epoch or channel comes by; the watcher hears of it
by NOTIFY, and looks at least once a second. While the database is away, what is remembered is served.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

from claim_api.counters import Counters
from claim_api.errors import unknown_channel, unknown_epoch
from projections import read, rows
from projections.read import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
EpochKey = tuple[str, int, int]
"""channel identity, epoch_start_s, revision; LATEST for the newest."""
LATEST: Final = -1


class Remembered(Generic[K, V]):
    """Answers by key, None for "there is none"; bounded, least recently used out first."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._known: OrderedDict[K, V | None] = OrderedDict()
        self._generation = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: K) -> V | None:
        """What is known; None also where nothing is."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    async def ask(self, key: K, question: Callable[[], Awaitable[V | None]]) -> V | None:
        """What is known, or what the question finds. An answer that was overtaken by a seal is not remembered."""
        if key in self._known:
            return self.get(key)
        before = self._generation
        found = await question()
        if before == self._generation:
            self._known[key] = found
            if len(self._known) > self._max_entries:
                self._known.popitem(last=False)
        return found

    def forget(self, keys: Iterable[K]) -> None:
        """Something new was said about these."""
        self._generation += 1
        for key in keys:
            self._known.pop(key, None)

    def forget_all(self) -> None:
        self._generation += 1
        self._known.clear()


class SealIndex:
    """Names of channels and rows of epochs."""

    def __init__(self, database: Database, max_entries: int, counters: Counters) -> None:
        self._database, self._counters = database, counters
        self._channels: Remembered[str, str] = Remembered(max_entries)
        self._epochs: Remembered[EpochKey, rows.Epoch] = Remembered(max_entries)
        counters.gauges["remembered_epochs"] = lambda: len(self._epochs)

    def peek(self, name: str, epoch_start_s: int, revision: int) -> rows.Epoch | None:
        """The epoch if it is known without asking: no await, for the hit path."""
        channel = self._channels.get(name)
        return None if channel is None else self._epochs.get((channel, epoch_start_s, revision))

    async def channel(self, name: str) -> str:
        """The identity of a channel by its identity or login. Raises ApiError 404."""
        found = await self._channels.ask(name, lambda: read.resolve_channel(self._database, name))
        if found is None:
            raise unknown_channel(name)
        return found

    async def epoch(self, name: str, epoch_start_s: int, revision: int) -> rows.Epoch:
        """One epoch; revision LATEST for its newest. Raises ApiError 404."""
        channel = await self.channel(name)
        wanted = None if revision == LATEST else revision
        found = await self._epochs.ask(
            (channel, epoch_start_s, revision),
            lambda: read.epoch(self._database, channel, epoch_start_s, wanted),
        )
        if found is None:
            raise unknown_epoch(name, epoch_start_s, wanted)
        return found

    def applied(self, seals: Iterable[rows.Epoch]) -> None:
        """New seals: what was known about their epochs, and about any name, may be wrong now."""
        keys: list[Any] = []
        for seal in seals:
            keys.append((seal.channel, seal.epoch_start_s, LATEST))
            keys.append((seal.channel, seal.epoch_start_s, seal.revision))
        self._epochs.forget(keys)
        # A login may have gone from one channel to another; names are few and asked for again at once.
        self._channels.forget_all()
        self._counters.events["seals_seen"] += len(keys) // 2

    def forget_all(self) -> None:
        """Too much happened to follow."""
        self._epochs.forget_all()
        self._channels.forget_all()
