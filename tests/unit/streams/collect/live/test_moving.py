"""The state machine of channels: lost, moved, refused, renamed."""

import pytest

from streams.collect.live.roster import OVERLAP_S
from tests.reconciler_world import World
from tests.recording_intake import Told


def test_a_lost_connection_ends_the_claim_and_the_channel_is_joined_elsewhere_first(world: World) -> None:
    world.want("a", "b")
    on = {login: number for number in (1, 2) for login in world.lines[number - 1].channels}
    for login, number in on.items():
        world.confirm(login, on=number)
    first = next(login for login, number in on.items() if number == 1)
    world.end(1)
    assert world.intake.told[-1] == Told("lost", first, 1)
    assert world.sent(2)[-1] == f"JOIN {first}" and world.state(first).state == "joining"
    assert world.state(first).failures == 0
    assert (
        "connection ended: reset" in [one.outcome for one in world.state(first).tried]
        or world.state(first).reason == "connection ended: reset"
    )


def test_a_move_overlaps_and_only_then_leaves_the_old_connection(world: World) -> None:
    world.lines[1].room = 0
    world.want("a")
    world.confirm("a", 7)
    world.lines[1].room = 90
    world.drain(1)
    assert world.state("a").state == "moving" and world.sent(2) == ["JOIN a"]
    world.confirm("a", 7, on=2)
    assert world.state("a").state == "joined" and world.state("a").connection == 2
    assert not world.intake.of("lost")
    world.pass_s(OVERLAP_S - 0.1)
    assert not world.intake.of("lost") and not world.emptied_lines
    world.pass_s(0.1)
    assert world.intake.of("lost") == [Told("lost", "a", 1)]
    assert world.sent(1)[-1] == "PART a" and world.emptied_lines == [1]


def test_a_connection_that_ends_during_the_overlap_loses_nothing(world: World) -> None:
    world.lines[1].room = 0
    world.want("a")
    world.confirm("a")
    world.lines[1].room = 90
    world.drain(1)
    world.confirm("a", on=2)
    world.end(1)
    assert world.metrics.channels_lost_total == 0
    world.pass_s(10)
    assert world.intake.observed() == {("a", 2)}


def test_a_move_whose_new_connection_ends_at_once_stays_where_it_was(world: World) -> None:
    world.lines[1].room = 0
    world.want("a")
    world.confirm("a")
    world.lines[1].room = 90
    world.drain(1)
    world.confirm("a", on=2)
    world.end(2)
    assert world.state("a").state == "moving" and world.intake.observed() == {("a", 1)}
    assert world.metrics.channels_lost_total == 0


def test_a_join_asked_on_a_connection_that_is_left_is_asked_elsewhere(world: World) -> None:
    world.lines[1].room = 0
    world.want("a")
    world.lines[1].room = 90
    world.drain(1)
    assert world.sent(2) == ["JOIN a"] and not world.lines[0].channels
    world.confirm("a", on=1)  # it comes all the same
    world.confirm("a", on=2)
    world.pass_s(OVERLAP_S)
    assert world.intake.observed() == {("a", 2)}


@pytest.mark.parametrize(
    ("line", "reason", "least_s", "most_s"),
    [
        (b"@msg-id=msg_channel_suspended :t NOTICE #a :x", "suspended", 450, 900),
        (b"@msg-id=msg_banned :t NOTICE #a :x", "banned there", 1_800, 3_600),
        (b"@msg-id=msg_room_not_found :t NOTICE #a :x", "does not exist", 150, 300),
        (b":t 403 n #a :x", "does not exist", 150, 300),
        (b":t KICK #a justinfan1 :x", "put out by the server", 2.5, 5),
        (b":justinfan1!j@t PART #a", "put out by the server", 2.5, 5),
    ],
)
@pytest.mark.parametrize("heard", [False, True])
def test_a_refusal_parks_the_channel_with_its_reason(
    single: World, line: bytes, reason: str, least_s: float, most_s: float, heard: bool
) -> None:
    single.want("a")
    if heard:
        single.confirm("a")
    single.say(line)
    state = single.state("a")
    assert (state.state, state.reason) == ("parked", reason)
    assert least_s <= state.retry_at_ms / 1000 - single.now_s <= most_s  # type: ignore[operator]
    assert single.intake.of("lost") == ([Told("lost", "a", 1)] if heard else [])
    assert not single.lines[0].channels
    single.pass_s(most_s)
    assert single.sent()[:2] == ["JOIN a", "JOIN a"]


def test_a_login_that_answers_with_another_room_begins_another_channel(single: World) -> None:
    single.want("a")
    single.confirm("a", 7)
    single.say(b"@room-id=8 :t ROOMSTATE #a")
    assert single.intake.told[-2:] == [Told("lost", "a", 1), Told("observing", "a", 1, "8")]
    assert single.state("a").room_id == "8" and single.metrics.identity_changes_total == 1
    assert "is 8, was 7" in [one.outcome for one in single.state("a").tried]


def test_a_login_given_away_while_it_was_not_heard_is_noticed_at_the_next_join(world: World) -> None:
    world.lines[1].room = 0
    world.want("a")
    world.confirm("a", 7)
    world.lines[1].room = 90
    world.end(1)
    world.confirm("a", 8, on=2)
    assert world.metrics.identity_changes_total == 1
    assert world.intake.observed() == {("a", 2)} and world.intake.told[-1].room_id == "8"


def test_a_renamed_channel_is_found_by_its_room_and_the_old_login_is_tried_seldom(single: World) -> None:
    single.want("old")
    single.confirm("old", 7)
    single.want("old", "new")
    single.confirm("new", 7)
    assert single.intake.observed() == {("new", 1)}
    old, new = single.state("old"), single.state("new")
    assert (old.state, old.reason, new.state) == ("parked", "renamed", "joined")
    assert "now #new" in old.tried[-1].outcome and "was #old before" in new.tried[-1].outcome
    assert single.metrics.renames_total == 1
