"""Writes the rows of viewer_epochs: where each viewer's leaf lies, its weight, and what it added.

Stands behind projections.sealed. In: seals with their numbers, in order; what revisions that were applied before gave
is read from viewer_epochs. Out: one binary COPY for each run of seals, its rows by viewer, because a leaf of
the key's index is then met once a run and not once a seal; shortfalls as rows and an alarm. A run is short, so that one
seal's rows still lie close together (docs/schema.sql, viewer_epochs). Returns how many shortfalls there were.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from projections.alarms import raise_alarm
from projections.allocate import Leaves, amounts_base_units, increases
from projections.copy_rows import copy_rows, viewer_epoch_rows
from projections.keys import KeyRing
from projections.sql import sql
from schemas.policy import decode_policy
from schemas.sealed import SealedEpoch

logger: Final = logging.getLogger("twzrd.projections")
RUN_LEAVES: Final = 65_536
"""A run ends with the seal that brings it here; 4 MB of rows."""
_COLUMNS: Final = ("viewer_key", "weight_centi", "seal_id", "leaf_index", "increase_base_units")

EpochKey = tuple[str, int]
"""(channel, epoch_start_s)."""


class Numbered(NamedTuple):
    """A seal and its number."""

    seal_id: int
    sealed: SealedEpoch

    @property
    def epoch(self) -> EpochKey:
        return (self.sealed.header.channel, self.sealed.header.epoch_start_s)


async def write_viewers(connection: Any, keys: KeyRing, seals: Sequence[Numbered], known: set[EpochKey]) -> int:
    """The seals' leaves. known: epochs that have a row in sealed_epochs; those of `seals` must not be there yet, their
    policies must. Revisions come in order, here and there."""
    times = Counter(one.epoch for one in seals)
    revised: dict[EpochKey, list[Leaves]] = {}
    for epoch, count in times.items():
        if epoch in known or count > 1:
            revised[epoch] = await _applied_before(connection, epoch) if epoch in known else []
    shortfalls = 0
    for run in _runs(seals):
        shortfalls += await _write_run(connection, keys, run, revised)
    return shortfalls


def _runs(seals: Sequence[Numbered]) -> Iterator[list[Numbered]]:
    run: list[Numbered] = []
    leaves = 0
    for one in seals:
        run.append(one)
        leaves += len(one.sealed.body)
        if leaves >= RUN_LEAVES:
            yield run
            run, leaves = [], 0
    if run:
        yield run


async def _write_run(
    connection: Any, keys: KeyRing, run: Sequence[Numbered], revised: dict[EpochKey, list[Leaves]]
) -> int:
    bodies = [one.sealed.body for one in run]
    lengths = [len(body) for body in bodies]
    viewer_key = await keys.keys(connection, list(chain.from_iterable(body.identities for body in bodies)))
    weight = np.concatenate([body.counts.weight_centi for body in bodies])
    increase = amounts_base_units(viewer_key, weight, _rates(run, lengths))
    shortfalls = 0
    for one, end, length in zip(run, accumulate(lengths), lengths, strict=True):
        others = revised.get(one.epoch)
        if others is None:
            continue
        place = slice(end - length, end)
        leaves = Leaves(viewer_key[place], increase[place].copy())
        gain = increases(leaves, others)
        increase[place] = gain.increase_base_units
        others.append(leaves)
        if gain.shortfalls:
            await _note_shortfalls(connection, one, gain.shortfalls)
            shortfalls += len(gain.shortfalls)
    if len(viewer_key) == 0:
        return shortfalls
    leaf_index = np.concatenate([np.arange(length) for length in lengths])
    seal_id = np.repeat([one.seal_id for one in run], lengths)
    order = np.argsort(viewer_key, kind="stable")
    rows = viewer_epoch_rows(viewer_key[order], weight[order], seal_id[order], leaf_index[order], increase[order])
    await copy_rows(connection, "viewer_epochs", _COLUMNS, rows)
    return shortfalls


def _rates(run: Sequence[Numbered], lengths: Sequence[int]) -> NDArray[np.int64]:
    """Base units per centi of each leaf."""
    policies = {one.sealed.policy for one in run}
    rates = {policy: decode_policy(policy).base_units_per_centi for policy in policies}
    return np.repeat(np.array([rates[one.sealed.policy] for one in run], np.int64), lengths)


async def _applied_before(connection: Any, epoch: EpochKey) -> list[Leaves]:
    """What the revisions of an epoch that are there already gave, taken together. From the rows that claims rest on
    and not from the bodies again: whatever became of those since, no viewer is given the same twice."""
    rows = await connection.fetch(sql("allocated_before"), *epoch)
    keys = np.array([row["viewer_key"] for row in rows], np.int64)
    return [Leaves(keys, np.array([int(row["base_units"]) for row in rows], np.object_))]


async def _note_shortfalls(connection: Any, one: Numbered, shortfalls: Sequence[tuple[int, int]]) -> None:
    header, total = one.sealed.header, sum(amount for _, amount in shortfalls)
    logger.error(
        "revision %d of %s at %d would lower %d allocations by %d base units; what was allocated stays",
        header.revision,
        header.channel,
        header.epoch_start_s,
        len(shortfalls),
        total,
    )
    await connection.executemany(sql("insert_shortfall"), [(key, one.seal_id, amount) for key, amount in shortfalls])
    subject = f"{header.channel}|{header.epoch_start_s}|{header.revision}"
    detail = {"viewers": len(shortfalls), "shortfall_base_units": str(total)}
    await raise_alarm(connection, "allocation_shortfall", subject, detail)
