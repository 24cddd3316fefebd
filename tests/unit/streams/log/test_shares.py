"""Partitions are dealt out evenly among live workers."""

from hypothesis import given
from hypothesis import strategies as st

from streams.log.postgres.shares import fair_shares

members = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.none() | st.integers(0, 12), max_size=8)


@given(st.integers(1, 64), members)
def test_every_partition_is_given_out_unless_bounds_forbid_it(partitions: int, bounds: dict[str, int | None]) -> None:
    shares = fair_shares(partitions, list(bounds.items()))
    capacity = sum(partitions if bound is None else bound for bound in bounds.values())
    assert sum(shares.values()) == min(partitions, capacity)
    assert all(bound is None or shares[worker] <= bound for worker, bound in bounds.items())


@given(st.integers(1, 64), members)
def test_workers_below_their_bound_differ_by_one_at_most(partitions: int, bounds: dict[str, int | None]) -> None:
    shares = fair_shares(partitions, list(bounds.items()))
    free = [share for worker, share in shares.items() if (bound := bounds[worker]) is None or share < bound]
    assert not free or max(shares.values()) - min(free) <= 1


@given(st.integers(1, 64), members)
def test_all_members_compute_the_same(partitions: int, bounds: dict[str, int | None]) -> None:
    order = list(bounds.items())
    assert fair_shares(partitions, order) == fair_shares(partitions, order[::-1])
