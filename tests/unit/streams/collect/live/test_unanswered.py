"""JOINs without an answer: a connection that takes none is left, one that was given channels nobody has is not."""

from streams.collect.live.pacing import Pacing
from streams.collect.live.reconciler import JOIN_ANSWER_S
from streams.collect.live.unanswered import DEAF, DEAF_LOGINS, DEAF_TRIES
from tests.reconciler_world import World


def deaf_second(seed: int, channels: int) -> World:
    """Channels that were asked for on a second connection, while the first is full."""
    world = World(seed, lines=2, pacing=Pacing(1_000))
    world.replaces = True
    world.lines[1].room = 0
    world.want("heard")
    world.confirm("heard", 7)
    world.lines[0].room, world.lines[1].room = 1, 90
    world.want("heard", *(f"c{number}" for number in range(channels)))
    assert len(world.sent(2)) == channels
    return world


def test_a_connection_that_answers_no_join_is_left_and_its_channels_are_asked_for_elsewhere(seed: int) -> None:
    world = deaf_second(seed, DEAF_TRIES)
    world.pass_s(JOIN_ANSWER_S)
    assert world.left == [(2, DEAF)] and world.emptied_lines[-1] == 2
    world.pass_s(15)
    assert sorted(world.sent(3)) == sorted(f"JOIN c{number}" for number in range(DEAF_TRIES))
    assert world.state("heard").connection == 1


def test_one_channel_alone_is_enough_where_nothing_is_heard(seed: int) -> None:
    """It has nowhere else to go, and would wait ever longer."""
    world = deaf_second(seed, 1)
    world.pass_s(3_600)
    assert world.left[0] == (2, DEAF) and world.sent(2) == ["JOIN c0"] * DEAF_TRIES


def test_a_channel_without_an_answer_goes_elsewhere_as_soon_as_anywhere_has_room(seed: int) -> None:
    world = deaf_second(seed, 1)
    world.lines[0].room = 90
    world.lines[0].channels |= {f"busy{number}" for number in range(50)}
    world.pass_s(JOIN_ANSWER_S + 15)
    assert world.sent(1) == ["JOIN heard", "JOIN c0"] and not world.left


def test_a_refusal_and_a_confirmation_show_that_joins_are_heard(seed: int) -> None:
    for answer in (b"@msg-id=msg_banned :t NOTICE #c0 :x", b"@room-id=9 :t ROOMSTATE #c0"):
        world = deaf_second(seed, DEAF_TRIES)
        world.say(answer, 2)
        world.pass_s(JOIN_ANSWER_S)
        assert not world.left and world.metrics.joins_timed_out_total == DEAF_TRIES - 1


def test_channels_that_do_not_exist_move_the_heard_ones_once_at_most(seed: int) -> None:
    """Where some are heard, JOINs of many logins must be without an answer; then the next connection is given the same
    logins, and what both leave unanswered speaks against neither."""
    world = World(seed)
    world.replaces = True
    heard, dead = [f"a{number}" for number in range(20)], [f"dead{number}" for number in range(DEAF_LOGINS)]
    world.want(*heard)
    for login in heard:
        world.confirm(login)
    world.want(*heard, *dead[1:])
    world.pass_s(JOIN_ANSWER_S)
    assert not world.left
    world.want(*heard, *dead)
    world.pass_s(JOIN_ANSWER_S)
    assert world.left == [(1, DEAF)]
    world.it.step()
    for login in heard:
        world.confirm(login, on=2)
    world.pass_s(6 * 3_600)
    assert world.left == [(1, DEAF)] and len(world.sent(2)) > 20 + 3 * DEAF_LOGINS
    assert {world.state(login).state for login in heard} == {"joined"}
