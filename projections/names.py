"""The projection "names": which logins a viewer bore, and when.

In: joined seals of `epoch.sealed`; their bodies bear identity and login as of the viewer's latest event of that hour.
Out: viewer_logins (view user_mapping). Only facts that grow: the first time as a minimum, the last day as a maximum, so
neither order nor repetition matters. The last day and not the last millisecond, because then a viewer who comes every
hour costs one write a day.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from projections.keys import KeyRing
from projections.known_logins import KnownLogins
from projections.port import Projection
from projections.source import Entry, JoinedSeal
from projections.sql import sql
from streams.log.port import EPOCH_SEALED

DAY_MS: Final = 86_400_000


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
        keys: list[int] = []
        logins: list[str] = []
        first_ms: list[int] = []
        last_day: list[int] = []
        for entry in entries:
            if not isinstance(entry.item, JoinedSeal):
                continue
            body = entry.item.sealed.body
            body_keys = await self._keys.keys(connection, body.identities)
            body_days = body.last_ms // DAY_MS
            rows = self._known.learn(body_keys, body.logins, body.first_ms, body_days)
            keys += body_keys[rows].tolist()
            logins += [body.logins[row] for row in rows.tolist()]
            first_ms += body.first_ms[rows].tolist()
            last_day += body_days[rows].tolist()
        if len(set(keys)) < len(keys):
            # A statement may write each row once only; merged here, because it is rare and dear in the database.
            keys, logins, first_ms, last_day = _merged(keys, logins, first_ms, last_day)
        if keys:
            await connection.execute(sql("upsert_logins"), keys, logins, first_ms, last_day)


def _merged(
    keys: list[int], logins: list[str], first_ms: list[int], last_day: list[int]
) -> tuple[list[int], list[str], list[int], list[int]]:
    """Each (key, login) once, with its least first time and greatest last day."""
    rows: dict[tuple[int, str], tuple[int, int]] = {}
    for key, login, first, last in zip(keys, logins, first_ms, last_day, strict=True):
        before = rows.get((key, login), (first, last))
        rows[key, login] = (min(first, before[0]), max(last, before[1]))
    return (
        [key for key, _ in rows],
        [login for _, login in rows],
        [first for first, _ in rows.values()],
        [last for _, last in rows.values()],
    )
