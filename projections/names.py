"""The projection "names": which logins a viewer bore, and when.

In: joined seals of `epoch.sealed`; their bodies bear identity and login as of the viewer's latest event of that hour.
Out: viewer_logins (view user_mapping). Only facts that grow: the first time as a minimum, the last day as a maximum, so
neither order nor repetition matters. The last day and not the last millisecond, because then a viewer who comes every
hour costs one write a day.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar, Final

from projections.keys import KeyRing
from projections.port import Projection
from projections.source import Entry, JoinedSeal
from projections.sql import sql
from streams.log.port import EPOCH_SEALED

DAY_MS: Final = 86_400_000
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
MAX_REMEMBERED: Final = 1_000_000
"""Viewers whose newest login is remembered, so that nothing is written that is there already; about 250 MB when full.
Least recently changed first out; one that was put out costs an idle write."""


class NamesProjection(Projection):
    """See the module."""

    name: ClassVar[str] = "names"
    stream: ClassVar[str] = EPOCH_SEALED
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]] = ("viewer_logins",)

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._keys = KeyRing()
        self._max_remembered = max_remembered
        self._known: OrderedDict[int, tuple[str, int, int]] = OrderedDict()
        """viewer_key -> (login, first_ms, last_day) that the table has for sure, or better."""

    def rolled_back(self) -> None:
        self._keys.forget()
        self._known.clear()

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        news: dict[tuple[int, str], tuple[int, int]] = {}
        for entry in entries:
            if isinstance(entry.item, JoinedSeal):
                await self._collect(connection, entry.item, news)
        if news:
            await _write(connection, news)

    async def _collect(
        self, connection: Any, joined: JoinedSeal, news: dict[tuple[int, str], tuple[int, int]]
    ) -> None:
        """Put what one seal adds into `news`: (viewer_key, login) -> (first_ms, last_day)."""
        body, known = joined.sealed.body, self._known
        keys = (await self._keys.keys(connection, body.identities)).tolist()
        days = (body.last_ms // DAY_MS).tolist()
        for key, login, first_ms, day in zip(keys, body.logins, body.first_ms.tolist(), days, strict=True):
            before = known.get(key)
            if before is not None and before[0] == login:
                if first_ms >= before[1] and day <= before[2]:
                    continue
                first_ms, day = min(first_ms, before[1]), max(day, before[2])
            known[key] = (login, first_ms, day)
            if before is not None:
                known.move_to_end(key)
            pending = news.get((key, login))
            news[key, login] = (first_ms, day) if pending is None else (min(first_ms, pending[0]), max(day, pending[1]))
        while len(known) > self._max_remembered:
            known.popitem(last=False)


async def _write(connection: Any, news: dict[tuple[int, str], tuple[int, int]]) -> None:
    # By key, so that index pages are touched in order.
    rows = sorted(news.items())
    await connection.execute(
        sql("upsert_logins"),
        [key for (key, _), _ in rows],
        [login for (_, login), _ in rows],
        [first_ms for _, (first_ms, _) in rows],
        [date.fromordinal(_UNIX_DAY + day) for _, (_, day) in rows],
    )
