"""What is asked of the read models and the ledger about a viewer; look-ups that come together are one query.

In: viewer keys, and connections that can only read. Out: rows and sums.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claim_api.eligibility.kept import Version
from claim_api.eligibility.sql import sql
from claim_api.gathering import Gathering
from claim_api.ledger.read import totals_of_viewer
from claim_api.ledger.rows import Totals
from claim_api.part_counters import PartCounters
from claim_api.web_database import WebDatabase

HourKey = tuple[int, str, int]
"""viewer key, channel by its identity or login, epoch_start_s."""


class Hour(msgspec.Struct, frozen=True):
    """A viewer's hour in a channel, all revisions together. taken: what some claim has."""

    base_units: int
    taken_base_units: int
    stopped: bool


class Finding:
    """One process's look-ups. database: of role twzrd_web, read only."""

    def __init__(self, database: WebDatabase, counters: PartCounters) -> None:
        self._database = database
        self.versions: Gathering[int, Version] = Gathering("eligibility_versions", self._versions, counters)
        self.hours: Gathering[HourKey, Hour] = Gathering("eligibility_hours", self._hours, counters)

    async def page(self, viewer_key: int, before: int, limit: int) -> tuple[Sequence[Any], Totals]:
        """Allocations from below seal_id `before`, newest first, and the sums of all, as of one moment."""
        async with self._database.snapshot() as connection:
            rows = await connection.fetch(sql("page"), viewer_key, before, limit)
            return rows, await totals_of_viewer(connection, viewer_key)

    async def hour(self, viewer_key: int, channel: str, epoch_start_s: int) -> Sequence[Any]:
        """The allocations of one hour, a row for each revision that has one, with the claim that has it."""
        return await self._database.fetch(sql("hour"), viewer_key, channel, epoch_start_s)

    async def wallet_totals(self, wallet: str) -> Totals:
        """Sums of all viewers whose wallet in force this is."""
        row = await self._database.fetchrow(sql("wallet_totals"), wallet)
        return Totals(**{name: int(value) for name, value in row.items()})

    async def stats(self) -> Mapping[str, Any]:
        """Everybody's sums: reads every seal's row, so ask seldom."""
        found: Mapping[str, Any] = await self._database.fetchrow(sql("stats"))
        return found

    async def weeks(self, viewer_key: int, first_s: int) -> Sequence[Any]:
        """Weeks that have an hour, from first_s on."""
        return await self._database.fetch(sql("weeks"), viewer_key, first_s)

    async def close(self) -> None:
        """Ends what is under way."""
        await self.versions.close()
        await self.hours.close()

    async def _versions(self, keys: list[int]) -> Mapping[int, Version]:
        return {row[0]: tuple(row) for row in await self._database.fetch(sql("versions"), keys)}

    async def _hours(self, keys: list[HourKey]) -> Mapping[HourKey, Hour]:
        columns = [list(column) for column in zip(*keys, strict=True)]
        rows = await self._database.fetch(sql("hours"), *columns)
        return {(row[0], row[1], row[2]): Hour(int(row[3]), int(row[4]), row[5]) for row in rows}
