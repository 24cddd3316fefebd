"""A board is handed on in its newest state and while its hour is open, never from memory of an hour long over."""

from claim_api.counters import Counters
from claim_api.hub import Hub
from claim_api.index import SealIndex
from projections.rows import Board


def board(channel: str, epoch_start_s: int = 0, messages: int = 1) -> Board:
    return Board(channel, channel, epoch_start_s, 1, 0, messages, 100, 0, 0, [])


def hub(max_boards: int = 10) -> Hub:
    counters = Counters()
    database: object = None
    return Hub(SealIndex(database, 10, counters), 10, max_boards, counters)  # type: ignore[arg-type]


def told(of: Hub, cursor: int = 0) -> tuple[int, list[str]]:
    at, events = of.boards_after(cursor, None)
    return at, [event.decode().split('"')[3] for event in events]


def test_a_board_that_ended_is_not_told_to_who_comes_later() -> None:
    one = hub()
    one.came()
    one.boards([board("a"), board("b")])
    at, _ = told(one)
    one.boards([board("b", messages=2)])
    assert told(one, at)[1] == ["b"]
    assert told(one)[1] == ["b"], "a client that comes now hears of b only"


def test_boards_that_did_not_move_are_not_told_again() -> None:
    one = hub()
    one.boards([board("a"), board("b")])
    at, _ = told(one)
    one.boards([board("b"), board("a")])
    assert told(one, at) == (at, [])


def test_what_was_seen_before_everybody_left_is_forgotten() -> None:
    one = hub()
    one.came()
    one.came()
    one.boards([board("a")])
    one.left()
    assert told(one)[1] == ["a"]
    one.left()
    assert told(one)[1] == []
    one.came()
    one.boards([board("a", epoch_start_s=3600)])
    assert told(one)[1] == ["a"]


def test_no_more_than_the_bound_are_kept() -> None:
    one = hub(max_boards=2)
    one.boards([board("a"), board("b"), board("c")])
    assert told(one)[1] == ["a", "b"]
