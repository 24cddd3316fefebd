"""What a revision adds to each viewer's entitlement. Pure: columns of leaves in, columns of increases out.

Rule (docs/spec.md, Claims): a viewer's allocations of one channel and epoch sum to the largest amount that any of its
revisions gave them. So a revision adds its increase only, never takes away; what it would take away is a shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Amounts = NDArray[np.int64] | NDArray[np.object_]
"""Base units, exact: i64 where all of a column fit, else Python integers."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """One seal's leaves as columns of n, in any order.

    amount_base_units: the whole amount in that revision, 0 where the key is negative (not known by a Twitch id: nothing
    can be claimed).
    """

    viewer_key: NDArray[np.int64]
    amount_base_units: Amounts

    def by_key(self) -> dict[int, int]:
        """Amounts > 0 by viewer."""
        return {
            key: amount
            for key, amount in zip(self.viewer_key.tolist(), self.amount_base_units.tolist(), strict=True)
            if amount
        }


@dataclass(frozen=True, slots=True)
class Gain:
    """increase_base_units: one for each leaf, in its order; shortfalls: (viewer_key, amount > 0), by key."""

    increase_base_units: Amounts
    shortfalls: Sequence[tuple[int, int]]


def amounts_base_units(
    viewer_key: NDArray[np.int64], weight_centi: NDArray[np.uint64], base_units_per_centi: NDArray[np.int64] | int
) -> Amounts:
    """(n,) weight * rate, exact; 0 for negative keys. One rate for all, or (n,) rates."""
    claimable = np.where(viewer_key >= 0, weight_centi, np.uint64(0))
    most = int(claimable.max(initial=0)) * int(np.max(base_units_per_centi, initial=0))
    if most < 2**63:
        return claimable.astype(np.int64) * base_units_per_centi
    rates = base_units_per_centi if isinstance(base_units_per_centi, int) else base_units_per_centi.astype(np.object_)
    amounts: NDArray[np.object_] = claimable.astype(np.object_) * rates
    return amounts


def increases(leaves: Leaves, others: Sequence[Leaves]) -> Gain:
    """What this seal adds where `others` are the revisions of the same epoch that were applied before it."""
    if not others:
        return Gain(leaves.amount_base_units, ())
    allocated: dict[int, int] = {}
    for other in others:
        for key, amount in other.by_key().items():
            allocated[key] = max(amount, allocated.get(key, 0))
    now = leaves.by_key()
    gained = leaves.amount_base_units.copy()
    gained[:] = [
        max(0, amount - allocated.get(key, 0))
        for key, amount in zip(leaves.viewer_key.tolist(), leaves.amount_base_units.tolist(), strict=True)
    ]
    short = [(key, had - now.get(key, 0)) for key, had in sorted(allocated.items()) if had > now.get(key, 0)]
    return Gain(gained, short)
