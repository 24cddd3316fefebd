"""What a revision adds to each viewer's entitlement. Pure: columns of leaves in, columns of increases out.

Rule (docs/spec.md, Claims): a viewer's allocations of one channel and epoch sum to the largest amount that any of its
revisions gave them. So a revision adds its increase only, never takes away; what it would take away is a shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from projections.copy_rows import amounts_base_units

Amounts = NDArray[np.int64] | list[int]


@dataclass(frozen=True, slots=True)
class Leaves:
    """One seal's leaves, ascending by viewer_key (so that index pages are touched in order).

    leaf_index: place in the tree; weight_centi u64; amount_base_units: the whole amount in that revision, 0 where the
    key is negative (not known by a Twitch id: nothing can be claimed).
    """

    viewer_key: NDArray[np.int64]
    leaf_index: NDArray[np.int64]
    weight_centi: NDArray[np.uint64]
    amount_base_units: Amounts

    @classmethod
    def sorted_by_key(
        cls, viewer_key: NDArray[np.int64], weight_centi: NDArray[np.uint64], base_units_per_centi: int
    ) -> "Leaves":
        """From columns in leaf order."""
        order = np.argsort(viewer_key)
        key, weight = viewer_key[order], weight_centi[order]
        claimable = np.where(key >= 0, weight, np.uint64(0))
        return cls(key, order, weight, amounts_base_units(claimable, base_units_per_centi))

    def by_key(self) -> dict[int, int]:
        """Amounts > 0 by viewer."""
        return {
            key: amount
            for key, amount in zip(self.viewer_key.tolist(), map(int, self.amount_base_units), strict=True)
            if amount
        }


@dataclass(frozen=True, slots=True)
class Gain:
    """increase_base_units: a row for each leaf, in its order; shortfalls: (viewer_key, amount > 0), by key."""

    increase_base_units: Amounts
    shortfalls: Sequence[tuple[int, int]]


def increases(leaves: Leaves, others: Sequence[Leaves]) -> Gain:
    """What this seal adds where `others` are the revisions of the same epoch that were applied before it."""
    if not others:
        return Gain(leaves.amount_base_units, ())
    allocated: dict[int, int] = {}
    for other in others:
        for key, amount in other.by_key().items():
            allocated[key] = max(amount, allocated.get(key, 0))
    now = leaves.by_key()
    gained = [
        max(0, amount - allocated.get(key, 0))
        for key, amount in zip(leaves.viewer_key.tolist(), map(int, leaves.amount_base_units), strict=True)
    ]
    short = [(key, had - now.get(key, 0)) for key, had in sorted(allocated.items()) if had > now.get(key, 0)]
    return Gain(gained, short)
