"""Leases: which worker owns which partition, and transactions that only the owner can end.

Stands between the runner and the tables. A lease row bears its owner and a generation, raised at each change of owner.
Every transaction of an owner first takes a share lock on that row, where owner and generation must still be its own;
a take-over updates the row, so either the transaction ends first, or it finds itself fenced and writes nothing. Time
is the database's alone: a lease lives lease_ttl_ms from its last heartbeat (`acquire`), whatever workers' clocks say.
An expired lease that nobody took over is still its owner's.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from streams.log.port import Append, Fenced, LogError
from streams.log.postgres.appending import Announce, Committed, Outgoing, Written, address, insert
from streams.log.postgres.connections import Connections, Counters
from streams.log.postgres.shares import fair_shares
from streams.log.postgres.statements import SQL, Stream

MAX_TRANSACTION_BYTES: Final = 256 << 20
"""Bound on what one owner's transaction gathers before it is written."""


class Leases:
    """All leases that this process holds, by group, stream and worker."""

    def __init__(
        self,
        connections: Connections,
        counters: Counters,
        announce: Announce,
        committed: Committed,
        streams: dict[str, Stream],
        *,
        ttl_ms: int,
        max_record_bytes: int,
    ) -> None:
        self.connections = connections
        self.counters = counters
        self.announce = announce
        self.committed = committed
        self.streams = streams
        self.max_record_bytes = max_record_bytes
        self._ttl_ms = ttl_ms
        self._held: dict[tuple[str, int, str], dict[int, PostgresLease]] = {}

    async def acquire(self, group: str, stream: Stream, worker: str, at_most: int | None) -> list["PostgresLease"]:
        """See LeasingLog.acquire. Gives the highest partitions up where the worker has more than its share. A worker
        that comes again under its old name takes its old partitions at once, so names must be unique."""
        if at_most is not None and at_most < 0:
            raise LogError(f"at_most is {at_most}; give None for no bound, or 0 and more")
        held = self._held.setdefault((group, stream.id, worker), {})

        async def step(connection: Any) -> tuple[dict[int, int], str]:
            await connection.execute(SQL["lock_group"], group, stream.name)
            # In this order: we are a member when members are counted, however long we were held up before.
            await connection.execute(SQL["drop_dead_members"], group, stream.id)
            await connection.execute(SQL["join_group"], group, stream.id, worker, at_most, self._ttl_ms)
            members = await connection.fetch(SQL["members"], group, stream.id)
            rows = await connection.fetch(SQL["leases"], group, stream.id)
            if len(rows) < stream.partitions:
                await connection.execute(SQL["add_leases"], group, stream.id)
                rows = await connection.fetch(SQL["leases"], group, stream.id)
            share = fair_shares(stream.partitions, [(one["worker"], one["at_most"]) for one in members])[worker]
            mine = {
                row["partition"]: row["generation"]
                for row in rows
                if row["worker"] == worker
                and row["partition"] in held
                and held[row["partition"]].generation == row["generation"]
            }
            for partition in sorted(mine)[share:]:
                await connection.execute(SQL["give_lease"], group, stream.id, partition, worker, mine.pop(partition))
            if mine:
                await connection.execute(SQL["renew_leases"], group, stream.id, worker, list(mine), self._ttl_ms)
            # Under our own name but not held here: we were killed and came again.
            ours = [row["partition"] for row in rows if row["worker"] == worker and row["partition"] not in held]
            free = ours + [row["partition"] for row in rows if row["free"] and row["partition"] not in {*mine, *ours}]
            taken = await connection.fetch(
                SQL["take_leases"], group, stream.id, worker, free[: max(0, share - len(mine))], self._ttl_ms
            )
            return mine | {row["partition"]: row["generation"] for row in taken}, ""

        generations = await self.connections.transact("acquiring partitions", step)
        for partition, lease in list(held.items()):
            if generations.get(partition) != lease.generation:
                lease.lost = True
                del held[partition]
        for partition, generation in generations.items():
            if partition not in held:
                held[partition] = PostgresLease(self, group, stream, worker, partition, generation)
        return [held[partition] for partition in sorted(held)]

    async def release(self, lease: "PostgresLease") -> None:
        """Give one partition up; a worker that gives up its last one leaves the group."""
        lease.lost = True
        held = self._held.get((lease.group, lease.stream.id, lease.worker), {})
        if held.get(lease.partition) is lease:
            del held[lease.partition]
        leaves = not held

        async def step(connection: Any) -> tuple[None, str]:
            await connection.execute(
                SQL["give_lease"], lease.group, lease.stream.id, lease.partition, lease.worker, lease.generation
            )
            if leaves:
                await connection.execute(SQL["leave_group"], lease.group, lease.stream.id, lease.worker)
            return None, ""

        await self.connections.transact("releasing a partition", step)

    async def release_all(self) -> None:
        """Give everything up, as at close."""
        for held in list(self._held.values()):
            for lease in list(held.values()):
                await self.release(lease)


class PostgresLease:
    """Ownership of one partition, as long as nobody else took it over. `lost` tells early; the database decides."""

    def __init__(
        self, leases: Leases, group: str, stream: Stream, worker: str, partition: int, generation: int
    ) -> None:
        self._leases = leases
        self.group = group
        self.stream = stream
        self.worker = worker
        self.generation = generation
        self._partition = partition
        self.lost = False

    @property
    def partition(self) -> int:
        return self._partition

    async def position(self) -> int:
        """The stored position; 0 where nothing was stored."""

        async def step(connection: Any) -> int:
            return int(await connection.fetchval(SQL["position"], self.group, self.stream.id, self._partition) or 0)

        return await self._leases.connections.use("reading a position", step)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresTransaction"]:
        """Gathers what is appended and writes it at the end, so that no lock is held while the caller computes.
        Raises Fenced when the lease is lost, LogError when the database is."""
        self._raise_if_lost()
        transaction = PostgresTransaction(self._leases)
        yield transaction
        self._raise_if_lost()
        await self._write(transaction)

    async def release(self) -> None:
        """Give the partition up at once. A lost lease is given up already."""
        if not self.lost:
            await self._leases.release(self)

    async def _write(self, transaction: "PostgresTransaction") -> None:
        owner = (self.group, self.stream.id, self._partition)

        async def step(connection: Any) -> tuple[list[Written], str]:
            if await connection.fetchval(SQL["hold_lease"], *owner, self.worker, self.generation) is None:
                self.lost = True
                self._leases.counters.fenced += 1
                self._raise_if_lost()
            _, written = await insert(connection, transaction.outgoing)
            if transaction.position is not None:
                await connection.execute(SQL["commit_position"], *owner, transaction.position)
            return written, self._leases.announce(written)

        written = await self._leases.connections.transact("writing position and output", step)
        await self._leases.committed(written)

    def _raise_if_lost(self) -> None:
        if self.lost:
            raise Fenced(
                f"partition {self._partition} of {self.stream.name} was given up or taken over from worker "
                f"{self.worker!r} of group {self.group!r} (generation {self.generation}); nothing was written; "
                "drop its state and acquire again"
            )


class PostgresTransaction:
    """What an owner wants written in one step."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._size_bytes = 0
        self.outgoing: list[Outgoing] = []
        self.position: int | None = None

    async def append(self, stream: str, records: Sequence[Append]) -> None:
        """As Log.append, visible when the transaction ends. Raises LogError for what cannot be appended."""
        if stream not in self._leases.streams:
            raise unknown_stream(stream, self._leases.streams)
        outgoing = address(self._leases.streams[stream], records, self._leases.max_record_bytes)
        self._size_bytes += outgoing.size_bytes
        if self._size_bytes > MAX_TRANSACTION_BYTES:
            raise LogError(
                f"a transaction of {self._size_bytes} bytes is over the bound of {MAX_TRANSACTION_BYTES}; "
                "end it earlier, after fewer records"
            )
        self.outgoing.append(outgoing)

    async def commit_position(self, offset: int) -> None:
        """Store the owner's position in the leased partition."""
        if offset < 0:
            raise LogError(f"position {offset} is below 0; store the next offset needed")
        self.position = offset


def unknown_stream(name: str, streams: dict[str, Stream]) -> LogError:
    """The error for a stream that is not there."""
    return LogError(f"there is no stream {name!r}; the log has {', '.join(sorted(streams)) or 'none before open'}")
