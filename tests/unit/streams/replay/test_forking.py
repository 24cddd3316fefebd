"""Rules of work that is shared out to forked processes."""

import os
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TwzrdError
from streams.replay.forking import ProcessLost, in_processes, shares


def test_results_come_in_the_order_of_the_works_from_processes_of_their_own() -> None:
    found = in_processes([lambda: (1, os.getpid()), lambda: (2, os.getpid())])
    assert [number for number, _ in found] == [1, 2]
    assert len({os.getpid(), *(pid for _, pid in found)}) == 3


def fail(message: str) -> int:
    """An error that the caller is to see."""
    raise TwzrdError(message)


def one() -> int:
    """A work that goes well."""
    return 1


def test_an_error_in_a_process_is_raised_here() -> None:
    with pytest.raises(TwzrdError, match="no room"):
        works: list[Callable[[], int]] = [one, partial(fail, "no room")]
        in_processes(works)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(ProcessLost, match="code 9"):
        in_processes([partial(os._exit, 9)])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 8))
def test_shares_cover_everything_once_and_weigh_alike(weights: list[int], count: int) -> None:
    found = shares(weights, count)
    assert sorted(place for share in found for place in share) == list(range(len(weights)))
    assert len(found) <= count and all(share == sorted(share) for share in found)
    held = [sum(weights[place] for place in share) for share in found]
    assert max(held) - min(held) <= max(weights)
