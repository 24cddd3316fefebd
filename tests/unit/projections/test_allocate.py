"""Revisions add their increase only: whatever the order, a viewer's increases sum to the largest amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.allocate import Leaves, amounts_base_units, increases

REVISIONS = st.lists(st.dictionaries(st.integers(-3, 6), st.integers(1, 2**63 - 1), max_size=8), min_size=1, max_size=5)


def leaves_of(weights: dict[int, int], rate: int) -> Leaves:
    keys = np.array(list(weights), np.int64)
    return Leaves(keys, amounts_base_units(keys, np.array(list(weights.values()), np.uint64), rate))


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


@pytest.mark.parametrize("most", [800_000_000, 2**30, 2**63 - 1], ids=["as i64", "one bit more", "as Python integers"])
def test_amounts_are_exact_at_one_rate_and_at_a_rate_for_each_leaf(most: int) -> None:
    keys, weights = np.array([5, -1, 2], np.int64), [2**33, 10, 2**63 - 1 if most > 2**60 else 3]
    column = np.array(weights, np.uint64)
    assert amounts_base_units(keys, column, most).tolist() == [weights[0] * most, 0, weights[2] * most]
    rates = np.array([3, 5, most], np.int64)
    assert amounts_base_units(keys, column, rates).tolist() == [weights[0] * 3, 0, weights[2] * most]
    assert amounts_base_units(keys[:0], column[:0], rates[:0]).tolist() == []
