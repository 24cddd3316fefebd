"""The port behind which every projection stands; write a class like these to add your own (docs/projections.md).

A projection takes what one stream of the log says and keeps tables of it. The runner (projections.runner) reads,
decodes, opens a transaction, stores the new position and calls `apply` in it: effect and position are one step, so a
projection never sees an entry twice that counted, and never misses one. What a projection needs to do:

    class Cheers(Projection):
        name, stream, version, tables = "cheers", CHAT_EVENTS, 1, ("cheers",)

        async def create(self, connection):           # unqualified names; called at the first start and for a rebuild
            await connection.execute("create table cheers (...)")

        async def apply(self, connection, entries):   # inside the transaction
            ...

Raise `version` when the same records give other rows: the runner then refuses to go on until `--rebuild NAME` ran.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from projections.source import Entry
from projections.sql import sql


class Projection(ABC):
    """One consumer of one stream. name: lowercase letters, digits and _, unique in the process and the database."""

    name: ClassVar[str]
    stream: ClassVar[str]
    """One of streams.log.port.STREAMS; says which items come (projections.source.Item)."""
    version: ClassVar[int]
    tables: ClassVar[tuple[str, ...]]
    """The tables it alone writes; a rebuild makes them anew, compares them and swaps them."""

    @abstractmethod
    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        """Write what the entries say. Runs inside the runner's transaction; partitions may be mixed, the entries of
        one partition come in order. An exception rolls everything back, and the same entries come again."""

    async def create(self, connection: Any) -> None:
        """Make the tables, empty, in the first schema of the search path. Here: shaped like those that migrations
        made in `public`; override it for tables that no migration knows."""
        for table in self.tables:
            await connection.execute(sql("clone_table").format(table=table))
            options = await connection.fetchval(sql("table_options"), table)
            if options:
                await connection.execute(f"alter table {table} set ({options})")

    async def drop(self, connection: Any) -> None:
        """Take the tables of the first schema of the search path away."""
        for table in self.tables:
            await connection.execute(f"drop table if exists {table}")

    async def digest(self, connection: Any) -> Mapping[str, str]:
        """Something for each table that is equal where its rows are (in any order). Here: the count of rows and a
        128-bit sum of hashes over them all; for finding faults, not for standing up to an adversary."""
        found = {}
        for table in self.tables:
            row = await connection.fetchrow(sql("digest_table").format(table=table))
            sums = (int(row["low"]) % 2**64, int(row["high"]) % 2**64)
            found[table] = f"{row['rows']} rows, {sums[0]:016x}{sums[1]:016x}"
        return found

    async def opened(self, connection: Any) -> None:
        """A session begins: the projection's lock is held, nothing is applied yet. For what is to be learnt from the
        tables."""
        return

    def recall(self, entries: Sequence[Entry]) -> None:
        """Entries that were applied before this process started, shown again so that memory can be refilled; comes
        before the first `apply` of their partition. No effect on tables. Only for those that give `low_water`."""
        return

    def low_water(self, partition: int) -> int | None:
        """The lowest offset that memory still rests on, asked after `apply`; None where it rests on none."""
        return None

    def committed(self) -> None:
        """The transaction of the last `apply` is durable."""
        return

    def rolled_back(self) -> None:
        """It is not: forget everything in memory. Reading starts again from the stored position."""
        return
