"""The projection "names": which logins a viewer bore, and when.

In: joined seals of `epoch.sealed`; their bodies bear identity and login as of the viewer's latest event of that hour.
Out: viewer_logins (view user_mapping). Only facts that grow: the first time as a minimum, the last day as a maximum, so
neither order nor repetition matters. The last day and not the last millisecond, because then a viewer who comes every
hour costs one write a day.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar, Final

import numpy as np

from projections.copy_rows import copy_rows, viewer_login_rows
from projections.keys import KeyRing
from projections.known_logins import KnownLogins, Sightings, padded
from projections.port import Projection
from projections.source import Entry, JoinedSeal
from projections.sql import sql
from streams.log.port import EPOCH_SEALED

DAY_MS: Final = 86_400_000
_COLUMNS: Final = ("viewer_key", "login", "first_seen_ms", "last_seen_day")


class NamesProjection(Projection):
    """See the module. In memory: bounded caches of keys and of what the table has for sure."""

    name: ClassVar[str] = "names"
    stream: ClassVar[str] = EPOCH_SEALED
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]] = ("viewer_logins",)

    def __init__(self) -> None:
        self._keys = KeyRing()
        self._known = KnownLogins()

    def rolled_back(self) -> None:
        self._keys.forget()
        self._known.forget()

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        bodies = [entry.item.sealed.body for entry in entries if isinstance(entry.item, JoinedSeal)]
        if not bodies:
            return
        identities = list(chain.from_iterable(body.identities for body in bodies))
        seen = Sightings(
            await self._keys.keys(connection, identities),
            padded(list(chain.from_iterable(body.logins for body in bodies))),
            np.concatenate([body.first_ms for body in bodies]),
            np.concatenate([body.last_ms for body in bodies]) // DAY_MS,
        )
        # Merged, because a statement may write each row once only; in order, so that the index is met in order.
        seen = seen.merged()
        news = seen.take(self._known.learn(seen))
        if len(news):
            await connection.execute(sql("stage_logins"))
            await copy_rows(connection, "staged_logins", _COLUMNS, viewer_login_rows(news))
            await connection.execute(sql("upsert_logins"))
