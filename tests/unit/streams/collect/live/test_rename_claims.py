"""What is claimed of a channel that is heard under two logins, over two connections: the real Intake beneath the
reconciler, in a time of the test's own."""

from collections.abc import Callable, Container
from typing import Any

import pytest

from streams.collect.live.claims import JOIN_MARGIN_MS
from streams.collect.live.intake import HOLE_WAIT_MS, LiveIntake
from tests.live import T0_MS, Sink, chat, intake_into
from tests.reconciler_world import World

SUSPENDED = b"@msg-id=msg_channel_suspended :t NOTICE #%s :x"


class Heard(World):
    """A world whose Intake is the real one. Lines are 20 ms on their way."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, lines=2)
        self.sink = Sink()
        self.live = intake_into(self.sink)
        self.intake: Any = self.live
        self.roster.intake = self.live
        self.now_s = T0_MS / 1000
        self.next_on = 1

    def place(self, avoid: Container[int] = ()) -> Any:
        """The line that the test says."""
        return self.lines[self.next_on - 1]

    def chat(self, ms: int, channel: str, room: int, on: int) -> None:
        """A line stamped T0 + ms arrives and is flushed."""
        self.now_s = (T0_MS + ms + 20) / 1000
        self.live.received(on, chat(T0_MS + ms, room=room, channel=channel), T0_MS + ms + 20)
        self.live.flush(T0_MS + ms + 20)

    def others_go_on(self, from_ms: int, to_ms: int) -> None:
        """Half a minute of the other channel on the first line."""
        for ms in range(from_ms, to_ms, 1_000):
            self.chat(ms, "beside", 33, 1)


def started(seed: int) -> Heard:
    """`old`, room 22, is heard on line 1 beside another channel of room 33; after 5 s, `new` is asked for on line 2."""
    world = Heard(seed)
    world.want("old", "beside")
    world.confirm("old", 22)
    world.confirm("beside", 33)
    world.chat(5_000, "old", 22, 1)
    world.next_on = 2
    world.want("old", "beside", "new")
    assert world.state("new").connection == 2
    return world


def told_by_roomstate(world: Heard) -> None:
    """ROOMSTATE alone says that `new` is room 22."""
    world.say(b"@room-id=22 :t ROOMSTATE #new", on=2)


def told_by_a_line_first(world: Heard) -> None:
    """The echo of our JOIN comes first, then a line under the new login, then ROOMSTATE."""
    world.say(b":justinfan1!justinfan1@t JOIN #new", on=2)
    world.chat(6_000, "new", 22, 2)
    world.say(b"@room-id=22 :t ROOMSTATE #new", on=2)


def told_while_the_old_login_speaks(world: Heard) -> None:
    """A line under the old login comes late, after the room was heard under the new one."""
    told_by_a_line_first(world)
    world.chat(6_100, "old", 22, 1)
    world.chat(6_200, "new", 22, 2)


def the_line_is_cut(world: Heard) -> None:
    world.end(on=2)


def the_channel_is_suspended(world: Heard) -> None:
    world.say(SUSPENDED % b"new", on=2)


@pytest.mark.parametrize("tell", [told_by_roomstate, told_by_a_line_first, told_while_the_old_login_speaks])
@pytest.mark.parametrize("go", [the_line_is_cut, the_channel_is_suspended])
def test_a_renamed_channel_is_not_claimed_by_the_line_of_its_former_login(
    seed: int, tell: Callable[[Heard], None], go: Callable[[Heard], None]
) -> None:
    world = started(seed)
    tell(world)
    world.chat(10_000, "new", 22, 2)
    go(world)
    world.others_go_on(11_000, 60_000)
    world.live.flush(T0_MS + 60_000 + HOLE_WAIT_MS)
    (*_, (_, to_ms)) = world.sink.said()
    assert to_ms == 9_000, "a second before the last line of the connection that heard it"
    assert world.sink.said(channel="twitch:id:33")[-1][1] > 50_000
    assert not any(one.channel == "twitch:id:22" for one in world.live.channels.heard())


def heard_twice(first: int, second: int) -> LiveIntake:
    intake = intake_into(Sink())
    intake.observing("old", "22", first, T0_MS + 20 - JOIN_MARGIN_MS)
    intake.observing("new", "22", second, T0_MS + 1_000)
    return intake


def test_on_one_connection_the_new_login_holds_the_claim_when_the_old_one_is_left() -> None:
    intake = heard_twice(1, 1)
    intake.lost("old", 1)
    assert [one.login for one in intake.channels.heard()] == ["new"]
    intake.lost("new", 1)
    assert not list(intake.channels.heard()) and not intake.channels.connections


def test_a_connection_that_named_the_channel_late_is_forgotten_with_it() -> None:
    intake = intake_into(Sink())
    intake.observing("old", "22", 1, T0_MS)
    intake.observing("new", None, 1, T0_MS)
    intake.observing("new", "22", 1, T0_MS)
    intake.lost("old", 1)
    intake.lost("new", 1)
    assert not list(intake.channels.heard()) and not intake.channels.connections


def test_a_login_that_was_given_up_and_taken_by_another_channel_takes_only_its_own_connection_along() -> None:
    intake = heard_twice(1, 2)
    intake.received(1, chat(T0_MS + 2_000, room=44, channel="old"), T0_MS + 2_020)
    intake.flush(T0_MS + 2_020)
    assert {(one.channel, one.login): [on.connection for on in one.hearing] for one in intake.channels.heard()} == {
        ("twitch:id:22", "new"): [2],
        ("twitch:id:44", "old"): [1],
    }
    intake.lost("old", 1)
    intake.lost("new", 2)
    assert not list(intake.channels.heard()) and not intake.channels.connections


def test_a_login_that_comes_back_to_its_first_channel_is_claimed_for_that_one_alone() -> None:
    sink = Sink()
    intake = intake_into(sink)
    intake.observing("chan", "22", 1, T0_MS + 20 - JOIN_MARGIN_MS)
    for ms, room in ((5_000, 22), (6_000, 44), (10_000, 44), (11_000, 22), (20_000, 22)):
        intake.received(1, chat(T0_MS + ms, room=room), T0_MS + ms + 20)
        intake.flush(T0_MS + ms + 20)
    assert [one.channel for one in intake.channels.heard()] == ["twitch:id:22"]
    assert sink.said(channel="twitch:id:44")[-1][1] == 10_000
    assert sink.said() == [(0, 5_000), (11_500, 19_000)]


def test_a_roomstate_that_gives_a_login_back_leaves_no_claim_behind() -> None:
    intake = intake_into(Sink())
    for room in ("22", "44", "22"):
        intake.lost("chan", 1)
        intake.observing("chan", room, 1, T0_MS)
    intake.lost("chan", 1)
    assert not list(intake.channels.heard()) and not intake.channels.connections
