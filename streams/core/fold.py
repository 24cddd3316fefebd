"""The fold: one channel's open epoch as appended columns, and the one vectorised pass that sums it up.

In: EventColumns in any order, doubled or not. Out: Folded, a function of the set of events alone (law 1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas import identity as identities
from schemas.columns import GIFT, LAST_FOLDED_KIND, MESSAGE, RAID, RESUB, SUB, EventColumns
from schemas.policy import Policy
from schemas.seal import LeafCounts
from schemas.sealed import Stats
from streams.core import kernels
from streams.core.interning import PairTable, pair_table
from streams.core.kernels import KINDS, Sums
from streams.core.pairs import Pairs


class Folded(NamedTuple):
    """Participants of an epoch (n of them), in order of their viewer number, and what was folded.

    pairs: (n,) the pair that each came under at their latest event (of several at that ms the one with the greatest
    event id); counts, first_ms, last_ms: (n,) alike.
    """

    pairs: NDArray[np.intp]
    counts: LeafCounts
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    input_digest: bytes
    stats: Stats


class EpochFold:
    """An open epoch: 37 bytes an event, and each (identity, login) pair once."""

    __slots__ = ("_amount", "_at", "_ids", "_kind", "_pair", "_pairs")

    def __init__(self) -> None:
        self._pairs: PairTable | None = None  # made for the first viewer: most epochs of a long absence never have one
        self._at, self._ids, self._kind, self._pair, self._amount = (bytearray() for _ in range(5))

    def __len__(self) -> int:
        return len(self._kind)

    @property
    def nbytes(self) -> int:
        """About what it holds in memory, in bytes."""
        return 33 * len(self) + (0 if self._pairs is None else self._pairs.nbytes)

    def intern(self, viewers: Sequence[tuple[str, str]]) -> NDArray[np.uint32]:
        """This fold's numbers of those pairs. Raises SchemaError on a malformed identity, then nothing changed."""
        if self._pairs is None:
            self._pairs = pair_table()
        return self._pairs.intern(viewers)

    def add(self, events: EventColumns, numbers: NDArray[np.uint32]) -> None:
        """Append events; numbers is what intern(events.viewers) gave."""
        self._at += events.at.astype("<i8", copy=False).tobytes()
        self._ids += events.ids.tobytes()
        self._kind += events.kind.astype(np.uint8, copy=False).tobytes()
        self._pair += numbers[events.who].tobytes()
        self._amount += events.amount.astype("<u4", copy=False).tobytes()

    def columns(self) -> tuple[EventColumns, Pairs]:
        """Everything appended, as one batch, and its viewers."""
        pairs = (pair_table() if self._pairs is None else self._pairs).pairs()
        events = EventColumns(
            pairs,
            np.frombuffer(bytes(self._at), "<i8"),
            np.frombuffer(bytes(self._ids), np.uint8).reshape(-1, 16),
            np.frombuffer(bytes(self._kind), np.uint8),
            np.frombuffer(bytes(self._pair), "<u4"),
            np.frombuffer(bytes(self._amount), "<u4"),
        )
        return events, pairs


def fold(events: EventColumns, pairs: Pairs, viewer_of_pair: NDArray[np.int64], n: int, policy: Policy) -> Folded:
    """Sum up one channel's epoch under the policy (spec: Fold).

    pairs: events.viewers. viewer_of_pair: for each the number of its viewer, 0 .. n - 1; pairs of one identity have
    the same.
    """
    counted = events.kind <= LAST_FOLDED_KIND
    left_out = [*pairs.with_login(policy.excluded), *pairs.with_identity(identities.ANONYMOUS_GIFTER)]
    excluded_total = 0
    if left_out:
        is_out = np.zeros(len(pairs), np.bool_)
        is_out[left_out] = True
        excluded = is_out[events.who] & counted
        excluded_total = int(np.count_nonzero(excluded))
        counted &= ~excluded
    if not counted.all():
        events = events.take(counted)
    order, duplicates, conflicts = _each_id_once(events, viewer_of_pair)
    events = events.take(order)
    stats = Stats(len(events), duplicates, conflicts, excluded_total)
    digest = blake3(events.ids.tobytes()).digest()
    return _sum_up(events, viewer_of_pair[events.who], n, policy, digest, stats)


def _each_id_once(events: EventColumns, viewer_of_pair: NDArray[np.int64]) -> tuple[NDArray[np.intp], int, int]:
    """Row numbers sorted by event id, each id once: of several the row with the least (at, kind, identity, amount).
    Also how many rows fell away, and how many of those differed from the one that counts."""
    words = np.ascontiguousarray(events.ids).view(">u8").astype(np.uint64)  # big-endian words order as bytes do
    high, low = words[:, 0], words[:, 1]
    order, sorted_high = kernels.order_words(high)
    same = sorted_high[1:] == sorted_high[:-1]
    if not same.any():
        return order, 0, 0
    tied = np.zeros(len(order), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    who = _identity_ranks(events.viewers)[events.who[rows]]
    at, kind, amount = events.at[rows], events.kind[rows], events.amount[rows]
    by = np.lexsort((amount, who, kind, at, low[rows], high[rows]))
    order[tied] = rows[by]
    sorted_low, sorted_high = low[order], high[order]
    repeat = np.zeros(len(order), np.bool_)
    repeat[1:] = (sorted_high[1:] == sorted_high[:-1]) & (sorted_low[1:] == sorted_low[:-1])
    heads = np.maximum.accumulate(np.where(repeat, 0, np.arange(len(order))))
    mine, kept = order[repeat], order[heads[repeat]]
    viewer = viewer_of_pair[events.who]
    differs = (
        (events.at[mine] != events.at[kept])
        | (events.kind[mine] != events.kind[kept])
        | (viewer[mine] != viewer[kept])
        | (events.amount[mine] != events.amount[kept])
    )
    return order[~repeat], int(np.count_nonzero(repeat)), int(np.count_nonzero(differs))


def _identity_ranks(viewers: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """For every pair the place of its identity among all, in order of bytes."""
    given = [identity.encode() for identity, _ in viewers]
    places = {name: place for place, name in enumerate(sorted(set(given)))}
    return np.array([places[name] for name in given], np.int64)


def _sum_up(
    events: EventColumns, viewer: NDArray[np.int64], n: int, policy: Policy, digest: bytes, stats: Stats
) -> Folded:
    sums = numpy_sums if kernels.active is None else kernels.active.sum_events
    counts, bits, raid_viewers, first, last, pairs = sums(events, viewer, n)
    messages, subs, resubs, gifts = (counts[kind] for kind in (MESSAGE, SUB, RESUB, GIFT))
    weights = policy.weights_centi
    weight = (
        np.uint64(weights.presence)
        + subs * np.uint64(weights.sub)
        + resubs * np.uint64(weights.resub)
        + gifts * np.uint64(weights.gift)
        + bits * np.uint64(weights.bit)
        + raid_viewers * np.uint64(weights.raid_viewer)
    )
    leaves = LeafCounts(weight, messages, subs, resubs, gifts, bits, raid_viewers)
    present = counts.any(axis=0)
    if not present.all():  # somebody's every event was excluded, or is not folded
        keep = np.flatnonzero(present)
        pairs, leaves, first, last = pairs[keep], leaves.take(keep), first[keep], last[keep]
    return Folded(pairs, leaves, first, last, digest, stats)


def numpy_sums(events: EventColumns, viewer: NDArray[np.int64], n: int) -> Sums:
    """What Kernels.sum_events gives, by numpy alone."""
    counts = np.bincount(events.kind * np.int64(n) + viewer, minlength=n * KINDS).astype(np.uint32).reshape(KINDS, n)

    def total(kind: int) -> NDArray[np.uint64]:
        rows = np.flatnonzero((events.kind == kind) & (events.amount > 0))
        out = np.zeros(n, np.uint64)
        np.add.at(out, viewer[rows], events.amount[rows].astype(np.uint64))
        return out

    first = np.full(n, np.iinfo(np.int64).max, np.int64)
    last = np.full(n, np.iinfo(np.int64).min, np.int64)
    np.minimum.at(first, viewer, events.at)
    np.maximum.at(last, viewer, events.at)
    pair = np.zeros(n, np.intp)
    rows = np.flatnonzero(events.at == last[viewer])
    pair[viewer[rows]] = events.who[rows]  # numpy keeps the last assignment, which is the greatest id
    return counts, total(MESSAGE), total(RAID), first, last, pair
