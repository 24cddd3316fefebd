"""Revisions add their increase only: whatever the order, a viewer's increases sum to the largest amount."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from projections.allocate import Leaves, increases

REVISIONS = st.lists(st.dictionaries(st.integers(-3, 6), st.integers(1, 2**63 - 1), max_size=8), min_size=1, max_size=5)


def leaves_of(weights: dict[int, int], rate: int) -> Leaves:
    keys = np.array(list(weights), np.int64)
    return Leaves.sorted_by_key(keys, np.array(list(weights.values()), np.uint64), rate)


@given(REVISIONS, st.sampled_from([1, 800_000_000, 2**63 - 1]))
def test_increases_sum_to_the_largest_amount_of_any_revision(revisions: list[dict[int, int]], rate: int) -> None:
    allocated: dict[int, int] = {}
    before: list[Leaves] = []
    for weights in revisions:
        leaves = leaves_of(weights, rate)
        gain = increases(leaves, before)
        for key, had in gain.shortfalls:
            assert had == allocated[key] - weights.get(key, 0) * rate > 0
        for key, more in zip(leaves.viewer_key.tolist(), map(int, gain.increase_base_units), strict=True):
            assert more >= 0
            allocated[key] = allocated.get(key, 0) + more
        before.append(leaves)
    for key, total in allocated.items():
        most = max(weights.get(key, 0) for weights in revisions)
        assert total == (most * rate if key >= 0 else 0)


def test_leaves_are_sorted_by_key_and_keep_their_place_in_the_tree() -> None:
    leaves = leaves_of({5: 50, -1: 10, 2: 20}, 3)
    assert leaves.viewer_key.tolist() == [-1, 2, 5]
    assert leaves.leaf_index.tolist() == [1, 2, 0]
    assert [int(amount) for amount in leaves.amount_base_units] == [0, 60, 150]
