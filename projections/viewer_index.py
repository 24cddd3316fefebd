"""Writes one seal's rows of viewer_epochs: where each viewer's leaf lies, its weight, and what it added.

Stands behind projections.sealed. In: a sealed epoch and its id; the bodies of the epoch's other revisions are read from
sealed_epochs. Out: one binary COPY; shortfalls as rows and an alarm. Returns how many shortfalls there were.
"""

import logging
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from projections import copy_rows
from projections.alarms import raise_alarm
from projections.allocate import Leaves, increases
from projections.keys import KeyRing
from projections.sql import sql
from schemas.body import SealBody, decode_body
from schemas.policy import decode_policy
from schemas.sealed import SealedEpoch

logger: Final = logging.getLogger("twzrd.projections")
_COLUMNS: Final = ("viewer_key", "weight_centi", "seal_id", "leaf_index", "increase_base_units")


async def write_viewers(connection: Any, keys: KeyRing, sealed: SealedEpoch, seal_id: int) -> int:
    """One seal's leaves, after its row of sealed_epochs and those of earlier revisions are there."""
    header = sealed.header
    leaves = await _leaves(connection, keys, sealed.body, sealed.policy)
    found = await connection.fetch(sql("other_revisions"), header.channel, header.epoch_start_s, seal_id)
    others = [await _leaves(connection, keys, decode_body(row["body"]), row["canonical"]) for row in found]
    gain = increases(leaves, others)
    if len(leaves.viewer_key):
        rows = copy_rows.viewer_epoch_rows(
            leaves.viewer_key, leaves.weight_centi, seal_id, leaves.leaf_index, gain.increase_base_units
        )
        await connection.copy_to_table(
            "viewer_epochs",
            source=BytesIO(copy_rows.SIGNATURE + rows + copy_rows.TRAILER),
            columns=_COLUMNS,
            format="binary",
        )
    if gain.shortfalls:
        await _note_shortfalls(connection, sealed, seal_id, gain.shortfalls)
    return len(gain.shortfalls)


async def _leaves(connection: Any, keys: KeyRing, body: SealBody, policy: bytes | str) -> Leaves:
    viewer_key = await keys.keys(connection, body.identities)
    return Leaves.sorted_by_key(viewer_key, body.counts.weight_centi, decode_policy(policy).base_units_per_centi)


async def _note_shortfalls(
    connection: Any, sealed: SealedEpoch, seal_id: int, shortfalls: Sequence[tuple[int, int]]
) -> None:
    header, total = sealed.header, sum(amount for _, amount in shortfalls)
    logger.error(
        "revision %d of %s at %d would lower %d allocations by %d base units; what was allocated stays",
        header.revision,
        header.channel,
        header.epoch_start_s,
        len(shortfalls),
        total,
    )
    await connection.executemany(sql("insert_shortfall"), [(key, seal_id, amount) for key, amount in shortfalls])
    subject = f"{header.channel}|{header.epoch_start_s}|{header.revision}"
    detail = {"viewers": len(shortfalls), "shortfall_base_units": str(total)}
    await raise_alarm(connection, "allocation_shortfall", subject, detail)
