"""Rules of work that is shared out to forked processes."""

import os
from collections.abc import Callable
from functools import partial

import pytest

from schemas.errors import TwzrdError
from streams.replay.forking import ProcessLost, Turns, in_processes


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


@pytest.mark.parametrize("processes", [1, 3])
def test_every_place_has_one_turn_and_the_heaviest_the_first(processes: int) -> None:
    weights = [place * 7 % 40 for place in range(40)]
    turns = Turns(weights)
    taken: list[list[int]] = in_processes([partial(list[int], turns) for _ in range(processes)])
    assert sorted(place for places in taken for place in places) == list(range(40))
    for places in taken:
        found = [weights[place] for place in places]
        assert found == sorted(found, reverse=True)
    assert list(turns) == []
