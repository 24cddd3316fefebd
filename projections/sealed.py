"""The projection "sealed": epochs, the index of a viewer's epochs and what viewers may claim.

In: joined seals, late notices and closings of `epoch.sealed`. Out: rows of sealed_epochs, viewer_epochs, policies,
channels, late_events, closed_hours, and on trouble of stopped_channels, held_records and alarms. What is to be done
with an entry is decided in projections.judge, what it adds to claims in projections.allocate.
"""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple

from projections.alarms import raise_alarm
from projections.epoch_rows import channel_rows, epoch_row
from projections.judge import Conflict, Judgement, SealKey, judge, key_of
from projections.keys import KeyRing
from projections.metrics import ProjectionMetrics
from projections.port import Projection
from projections.read import SEALS_NOTIFY
from projections.source import Entry, JoinedSeal
from projections.sql import sql
from projections.viewer_index import EpochKey, Numbered, write_viewers
from schemas.sealed import Closed, Late, encode_record
from streams.log.port import EPOCH_SEALED

logger: Final = logging.getLogger("twzrd.projections")


class _Applied(NamedTuple):
    """What is counted of one `apply` when it is durable; participants: of each seal."""

    repeated: int
    dismissed: int
    conflicts: int
    damaged: int
    held: int
    late_events: int
    participants: Sequence[int]


def _applied(judged: Judgement) -> _Applied:
    items = [entry.item for entry in judged.apply]
    return _Applied(
        judged.repeated,
        judged.dismissed,
        len(judged.conflicts),
        len(judged.damaged),
        len(judged.hold),
        sum(item.count for item in items if isinstance(item, Late)),
        [len(item.sealed.body) for item in items if isinstance(item, JoinedSeal)],
    )


class SealedProjection(Projection):
    """See the module. In memory: a bounded cache of viewers' keys, and counts of the transaction under way."""

    name: ClassVar[str] = "sealed"
    stream: ClassVar[str] = EPOCH_SEALED
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]] = (
        "policies",
        "channels",
        "sealed_epochs",
        "viewer_epochs",
        "allocation_shortfalls",
        "late_events",
        "closed_hours",
        "stopped_channels",
        "held_records",
    )

    def __init__(self, metrics: ProjectionMetrics) -> None:
        self._metrics = metrics
        self._keys = KeyRing()
        self._pending: list[_Applied] = []
        self._pending_shortfalls = self._pending_stopped = 0

    async def opened(self, connection: Any) -> None:
        self._metrics.stopped_channels.set(await connection.fetchval(sql("count_stopped")))

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        known = await _known(connection, entries)
        before = {key[:2] for key in known}
        judged, self._pending_stopped = await _judge(connection, entries, known)
        self._pending.append(_applied(judged))
        for conflict in judged.conflicts:
            await _stop(connection, conflict)
        for entry, fault in judged.damaged:
            await _note_damage(connection, entry, fault)
        for channel, entry in judged.hold:
            await connection.execute(sql("hold_record"), channel, entry.partition, entry.offset, _values(entry))
        await _write_notices(connection, judged.apply)
        seals = [(entry, entry.item) for entry in judged.apply if isinstance(entry.item, JoinedSeal)]
        if seals:
            await self._write_seals(connection, seals, before)

    async def _write_seals(
        self, connection: Any, seals: Sequence[tuple[Entry, JoinedSeal]], before: set[EpochKey]
    ) -> None:
        """before: epochs that have a revision in the database."""
        policies = {joined.sealed.header.policy_hash: joined.sealed.policy.decode() for _, joined in seals}
        await connection.execute(sql("insert_policies"), list(policies), list(policies.values()))
        ids = await _seal_ids(connection, [key_of(joined.sealed) for _, joined in seals])
        await connection.execute(sql("upsert_channels"), *_columns(channel_rows(seals), 5))
        numbered = [Numbered(ids[key_of(joined.sealed)], joined.sealed) for _, joined in seals]
        self._pending_shortfalls += await write_viewers(connection, self._keys, numbered, before)
        rows = [epoch_row(entry, joined, ids[key_of(joined.sealed)]) for entry, joined in seals]
        await connection.executemany(sql("insert_epoch"), rows)
        await connection.execute("select pg_notify($1, $2)", SEALS_NOTIFY, str(max(ids.values())))

    def committed(self) -> None:
        metrics = self._metrics
        for one in self._pending:
            metrics.repeated.inc(one.repeated)
            metrics.dismissed.inc(one.dismissed)
            metrics.conflicts.inc(one.conflicts)
            metrics.damaged.inc(one.damaged)
            metrics.held.inc(one.held)
            metrics.late_events.inc(one.late_events)
            for participants in one.participants:
                metrics.epoch_sealed.inc()
                metrics.epoch_participants.observe(participants)
                metrics.participants.inc(participants)
        metrics.shortfalls.inc(self._pending_shortfalls)
        if self._pending:
            metrics.stopped_channels.set(self._pending_stopped)
        self._settle()

    def rolled_back(self) -> None:
        self._keys.forget()
        self._settle()

    def _settle(self) -> None:
        self._pending.clear()
        self._pending_shortfalls = 0


async def _known(connection: Any, entries: Sequence[Entry]) -> dict[SealKey, bytes]:
    """Hashes of every seal of these entries' epochs that was applied before, whatever its revision."""
    epochs = sorted({key_of(entry.item.sealed)[:2] for entry in entries if isinstance(entry.item, JoinedSeal)})
    return {_key(row): row["seal_hash"] for row in await connection.fetch(sql("known_seals"), *_columns(epochs, 2))}


async def _judge(connection: Any, entries: Sequence[Entry], known: dict[SealKey, bytes]) -> tuple[Judgement, int]:
    """And how many channels are stopped then."""
    keys = sorted({key_of(entry.item.sealed) for entry in entries if isinstance(entry.item, JoinedSeal)})
    rulings = await connection.fetch(sql("known_rulings"), *_columns(keys, 3))
    stopped = {row["channel"] for row in await connection.fetch(sql("stopped_channels"))}
    judged = judge(entries, known, {(_key(row), row["seal_hash"]) for row in rulings}, stopped)
    return judged, len(stopped)


async def _stop(connection: Any, conflict: Conflict) -> None:
    """Law 4: nothing is overwritten, the channel waits for an operator."""
    entry, (channel, start_s, revision) = conflict.entry, conflict.key
    known, met = conflict.known_hash.hex(), conflict.met_hash.hex()
    logger.critical(
        "channel %s is stopped: its seal at %d revision %d is known as %s and came again as %s (partition %d, offset "
        "%d); find out which writer is wrong, then let the channel go on with: twzrd project --resume %s",
        channel,
        start_s,
        revision,
        known,
        met,
        entry.partition,
        entry.offset,
        channel,
    )
    await connection.execute(
        sql("stop_channel"), *conflict.key, conflict.known_hash, conflict.met_hash, entry.partition, entry.offset
    )
    assert isinstance(entry.item, JoinedSeal)
    detail = {
        "known_seal_hash": known,
        "met_seal_hash": met,
        "met_header": entry.item.sealed.header.encode().hex(),
        "partition": entry.partition,
        "offset": entry.offset,
    }
    await raise_alarm(connection, "seal_conflict", f"{channel}|{start_s}|{revision}|{met}", detail)


async def _note_damage(connection: Any, entry: Entry, fault: str) -> None:
    assert isinstance(entry.item, JoinedSeal)
    channel, start_s, revision = key_of(entry.item.sealed)
    logger.critical("seal of %s at %d revision %d is refused: %s", channel, start_s, revision, fault)
    subject = f"{channel}|{start_s}|{revision}|{entry.partition}|{entry.offset}"
    detail = {"fault": fault, "header": entry.item.sealed.header.encode().hex()}
    await raise_alarm(connection, "seal_damaged", subject, detail)


async def _write_notices(connection: Any, entries: Sequence[Entry]) -> None:
    late, closed = [], []
    for entry in entries:
        item = entry.item
        if isinstance(item, Late):
            late.append((item.channel, item.epoch_start_s, item.offset, entry.partition, item.count))
        elif isinstance(item, Closed):
            closed.append((item.channel, item.from_s, item.until_s, item.offset, item.closed_by))
    if late:
        await connection.execute(sql("insert_late"), *_columns(late, 5))
    if closed:
        await connection.execute(sql("insert_closed"), *_columns(closed, 5))


async def _seal_ids(connection: Any, keys: Sequence[SealKey]) -> dict[SealKey, int]:
    """The seals' numbers, rising in the order given for those that are new."""
    await connection.execute(sql("intern_seals"), *_columns(keys, 3))
    return {_key(row): row["seal_id"] for row in await connection.fetch(sql("select_seal_ids"), *_columns(keys, 3))}


def _values(entry: Entry) -> list[bytes]:
    """The record values an entry was made from, so that it can be read again when its channel goes on."""
    if isinstance(entry.item, JoinedSeal):
        return list(entry.item.values)
    assert isinstance(entry.item, Late | Closed)
    return [encode_record(entry.item)]


def _key(row: Any) -> SealKey:
    return (row["channel"], row["epoch_start_s"], row["revision"])


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Rows as `width` columns, for unnest."""
    return [[row[place] for row in rows] for place in range(width)]
