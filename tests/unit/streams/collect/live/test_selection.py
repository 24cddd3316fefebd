"""Hysteresis of the discovery: who fits twice enters, who is missed three times leaves, nobody flaps."""

import random

from streams.collect.live.helix import Stream
from streams.collect.live.selection import Changes, Left, Selection, SelectionBounds

NOW_MS = 1_767_225_600_000
BOUNDS = SelectionBounds(viewers=25, live_for_ms=600_000, channels=3)


def stream(login: str, viewers: int, *, room_id: str = "", live_for_ms: int = 600_000) -> Stream:
    return Stream(room_id or str(sum(login.encode())), login, viewers, "", "", NOW_MS - live_for_ms)


class Rounds:
    """Applies changes as the control stream would."""

    def __init__(self, bounds: SelectionBounds = BOUNDS) -> None:
        self.selection = Selection(bounds)
        self.picked: dict[str, str | None] = {}
        self.changes = 0

    def step(self, *streams: Stream, allowed: set[str] | None = None, denied: set[str] | None = None) -> Changes:
        made = self.selection.step(self.picked, streams, NOW_MS, allowed or set(), denied or set())
        for left in made.left:
            self.picked.pop(left.login, None)
        for entered in made.entered:
            self.picked[entered.login] = entered.room_id
        self.changes += len(made.left) + len(made.entered)
        return made


def test_a_channel_enters_when_it_fits_twice_in_a_row() -> None:
    rounds = Rounds()
    assert rounds.step(stream("a", 25)) == Changes([], [])
    assert [one.login for one in rounds.step(stream("a", 25)).entered] == ["a"]
    rounds = Rounds()
    rounds.step(stream("a", 25))
    rounds.step(stream("a", 24))
    assert rounds.step(stream("a", 25)).entered == [], "not in a row"


def test_too_few_viewers_or_too_short_live_never_enters() -> None:
    rounds = Rounds()
    for _ in range(5):
        assert rounds.step(stream("a", 24), stream("b", 900, live_for_ms=599_999)) == Changes([], [])


def test_a_channel_leaves_after_three_misses_and_one_good_round_forgives() -> None:
    rounds = Rounds()
    rounds.picked["a"] = "97"
    for _ in range(2):
        assert rounds.step().left == []
    rounds.step(stream("a", 15))
    for _ in range(2):
        assert rounds.step(stream("a", 14)).left == []
    [left] = rounds.step(stream("a", 14)).left
    assert left == ("a", "14 viewers")


def test_between_the_bounds_nothing_changes() -> None:
    rounds = Rounds()
    rounds.picked["a"] = "97"
    for _ in range(20):
        assert rounds.step(stream("a", 16), stream("b", 24)) == Changes([], [])


def test_places_are_bounded_and_taken_only_by_half_as_many_viewers_again() -> None:
    rounds = Rounds()
    crowd = [stream("a", 100), stream("b", 90), stream("c", 80), stream("d", 70)]
    rounds.step(*crowd)
    assert [one.login for one in rounds.step(*crowd).entered] == ["a", "b", "c"]
    crowd[3] = stream("d", 119)
    for _ in range(3):
        assert rounds.step(*crowd) == Changes([], [])
    crowd[3] = stream("d", 120)
    changes = rounds.step(*crowd)
    assert [one.login for one in changes.left] == ["c"] and [one.login for one in changes.entered] == ["d"]
    assert "all places are taken" in changes.left[0].note


def test_fewer_places_after_a_restart_let_the_weakest_go() -> None:
    rounds = Rounds()
    rounds.picked = dict.fromkeys("abcde")
    changes = rounds.step(*(stream(login, 100 + number) for number, login in enumerate("abcde")))
    assert [one.login for one in changes.left] == ["a", "b"]


def test_denied_and_not_allowed_leave_at_once_and_never_enter() -> None:
    rounds = Rounds()
    rounds.picked = {"a": "97", "b": "98"}
    crowd = [stream("a", 100), stream("b", 100), stream("c", 100), stream("d", 100)]
    changes = rounds.step(*crowd, allowed={"b", "d"}, denied={"d"})
    assert changes == Changes([Left("a", "not among the allowed")], [])
    for _ in range(3):
        assert rounds.step(*crowd, allowed={"b", "d"}, denied={"d"}) == Changes([], [])
    assert rounds.step(*crowd, denied={"b"}).left == [("b", "denied")]


def test_a_renamed_channel_keeps_its_place_under_its_new_login() -> None:
    rounds = Rounds()
    rounds.picked["old"] = "7"
    changes = rounds.step(stream("new", 100, room_id="7"))
    assert [one.login for one in changes.left] == ["old"]
    assert [(one.login, one.room_id) for one in changes.entered] == [("new", "7")]
    assert rounds.step(stream("new", 100, room_id="7")) == Changes([], [])


def test_viewers_that_swing_around_the_bound_make_no_channel_flap(seed: int) -> None:
    random_ = random.Random(seed)
    rounds = Rounds(SelectionBounds(viewers=100, channels=60))
    for _ in range(500):
        rounds.step(*(stream(f"c{number}", random_.randint(70, 130), room_id=str(number)) for number in range(50)))
    assert rounds.changes == len(rounds.picked) == 50, "each entered once and stayed"
