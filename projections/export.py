"""What leaves the read models as rows: seals, leaves, participants, allocations. `twzrd export KIND`.

In: a connection, and optionally one channel and a span of epochs. Out: batches of rows as Arrow tables, streamed by a
server-side cursor, so that memory holds one epoch (or CURSOR_ROWS rows) at a time. projections.export_files writes them
as CSV, JSON lines or Parquet. Leaves are public (refs and counts); participants and allocations name people: private.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from projections.sql import sql
from schemas.body import SealBody, decode_body
from schemas.errors import SchemaError
from schemas.seal import decode_header

Kind = Literal["seals", "leaves", "participants", "allocations"]
CURSOR_ROWS: Final = 10_000

_HASHES: Final = ("seal_hash", "root", "policy_hash", "input_digest", "coverage_hash", "pepper_commit")
SEAL_FIELDS: Final = pa.schema(
    [
        ("channel", pa.string()),
        ("login", pa.string()),
        ("epoch_start_s", pa.int64()),
        ("epoch_length_s", pa.int32()),
        ("revision", pa.int32()),
        ("leaf_count", pa.int64()),
        ("total_weight_centi", pa.string()),
        ("total_messages", pa.uint64()),
        *((name, pa.string()) for name in _HASHES),
        ("header", pa.string()),
        pa.field("coverage", pa.string(), metadata={"holds": "json"}),
        ("observed_ms", pa.int64()),
        ("absent_ms", pa.int64()),
        ("closed_by", pa.string()),
    ]
)
_COUNT_FIELDS: Final = (
    ("weight_centi", pa.uint64()),
    ("messages", pa.uint32()),
    ("subs", pa.uint32()),
    ("resubs", pa.uint32()),
    ("gifts", pa.uint32()),
    ("bits", pa.uint64()),
    ("raid_viewers", pa.uint64()),
)
_EPOCH_FIELDS: Final = (
    ("channel", pa.string()),
    ("epoch_start_s", pa.int64()),
    ("revision", pa.int32()),
    ("leaf_index", pa.int32()),
)
LEAF_FIELDS: Final = pa.schema([*_EPOCH_FIELDS, ("viewer_ref", pa.string()), *_COUNT_FIELDS])
PARTICIPANT_FIELDS: Final = pa.schema(
    [
        *_EPOCH_FIELDS,
        ("identity", pa.string()),
        ("login", pa.string()),
        *_COUNT_FIELDS,
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
    ]
)
ALLOCATION_FIELDS: Final = pa.schema(
    [
        ("identity", pa.string()),
        ("channel", pa.string()),
        ("channel_login", pa.string()),
        ("epoch_start_s", pa.int64()),
        ("revision", pa.int32()),
        ("leaf_index", pa.int32()),
        ("weight_centi", pa.int64()),
        ("amount_base_units", pa.string()),
    ]
)
FIELDS: Final[dict[Kind, Any]] = {
    "seals": SEAL_FIELDS,
    "leaves": LEAF_FIELDS,
    "participants": PARTICIPANT_FIELDS,
    "allocations": ALLOCATION_FIELDS,
}


@dataclass(frozen=True, slots=True)
class Span:
    """What to export: one channel (identity) or all, epochs that start in [from_s, until_s); every revision."""

    channel: str | None = None
    from_s: int = 0
    until_s: int = 2**62


async def tables(connection: Any, kind: Kind, span: Span) -> AsyncIterator[Any]:
    """Arrow tables of FIELDS[kind], sorted by channel, epoch, revision, and leaf (allocations: by viewer). All of one
    snapshot of the database; amounts and weights of seals are strings of digits."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        batch: list[Any] = []
        rows = connection.cursor(
            sql(f"export_{kind}"), span.channel, span.from_s, span.until_s, prefetch=_prefetch(kind)
        )
        async for row in rows:
            if kind in ("leaves", "participants"):
                yield _BODY_TABLES[kind](row, _body(row))
                continue
            batch.append(_seal(row) if kind == "seals" else _allocation(row))
            if len(batch) >= CURSOR_ROWS:
                yield pa.Table.from_pylist(batch, schema=FIELDS[kind])
                batch = []
        if batch:
            yield pa.Table.from_pylist(batch, schema=FIELDS[kind])


def _body(row: Any) -> SealBody:
    try:
        return decode_body(row["body"])
    except SchemaError as error:
        raise SchemaError(
            f"leaves of {row['channel']} at {row['epoch_start_s']} revision {row['revision']} are damaged: {error}; "
            "build the read models anew: twzrd project --rebuild sealed --replace"
        ) from error


def _prefetch(kind: Kind) -> int:
    # A body may have hundreds of megabytes: one at a time.
    return 1 if kind in ("leaves", "participants") else 1000


def _seal(row: Any) -> dict[str, object]:
    header = decode_header(row["header"])
    return {
        "channel": header.channel,
        "login": row["login"],
        "epoch_start_s": header.epoch_start_s,
        "epoch_length_s": header.epoch_length_s,
        "revision": header.revision,
        "leaf_count": header.leaf_count,
        "total_weight_centi": str(header.total_weight_centi),
        "total_messages": header.total_messages,
        "seal_hash": row["seal_hash"].hex(),
        "root": header.root.hex(),
        "policy_hash": header.policy_hash.hex(),
        "input_digest": header.input_digest.hex(),
        "coverage_hash": header.coverage_hash.hex(),
        "pepper_commit": header.pepper_commit.hex(),
        "header": row["header"].hex(),
        "coverage": row["coverage"],
        "observed_ms": row["observed_ms"],
        "absent_ms": row["absent_ms"],
        "closed_by": row["closed_by"],
    }


def _allocation(row: Any) -> dict[str, object]:
    return {**row, "amount_base_units": str(int(row["amount_base_units"]))}


def _leaves(row: Any, body: SealBody) -> Any:
    data = body.refs.tobytes().hex()
    refs = [data[at : at + 64] for at in range(0, len(data), 64)]
    return pa.table([*_epoch_columns(row, len(body)), pa.array(refs, pa.string()), *_counts(body)], schema=LEAF_FIELDS)


def _participants(row: Any, body: SealBody) -> Any:
    columns = [
        *_epoch_columns(row, len(body)),
        pa.array(body.identities, pa.string()),
        pa.array(body.logins, pa.string()),
        *_counts(body),
        pa.array(body.first_ms),
        pa.array(body.last_ms),
    ]
    return pa.table(columns, schema=PARTICIPANT_FIELDS)


_BODY_TABLES: Final[dict[str, Callable[[Any, SealBody], Any]]] = {"leaves": _leaves, "participants": _participants}


def _epoch_columns(row: Any, n: int) -> list[Any]:
    return [
        pa.array([row["channel"]] * n, pa.string()),
        pa.array(np.full(n, row["epoch_start_s"], np.int64)),
        pa.array(np.full(n, row["revision"], np.int32)),
        pa.array(np.arange(n, dtype=np.int32)),
    ]


def _counts(body: SealBody) -> list[Any]:
    return [pa.array(getattr(body.counts, name)) for name, _ in _COUNT_FIELDS]
