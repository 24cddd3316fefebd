"""Which channels the Intake forgets at its bound, which it never does, and what it keeps of them."""

from collections.abc import Iterable

import pytest

from streams.collect.live import channels as channels_module
from streams.collect.live.claims import JOIN_MARGIN_MS
from streams.collect.live.intake import HOLE_WAIT_MS, LiveIntake
from tests.live import T0_MS, Sink, chat, intake_into

KNOWN = 5


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setattr(channels_module, "MAX_KNOWN", KNOWN)
    return Sink()


def observe(intake: LiveIntake, room: int, ms: int) -> None:
    """c<room> may be claimed from T0 + ms on."""
    intake.observing(f"c{room}", str(room), 1, T0_MS + ms + 20 - JOIN_MARGIN_MS)


def say(intake: LiveIntake, ms: int, rooms: Iterable[int]) -> None:
    """Lines in those rooms, and a flush."""
    lines = b"".join(chat(T0_MS + ms, room=room, channel=f"c{room}") for room in rooms)
    intake.received(1, lines, T0_MS + ms + 20)
    intake.flush(T0_MS + ms + 20)


def visit(intake: LiveIntake, room: int, from_ms: int) -> None:
    """A channel that is heard for 5 s and left."""
    observe(intake, room, from_ms)
    say(intake, from_ms + 5_000, [room])
    intake.lost(f"c{room}", 1)
    intake.flush(T0_MS + from_ms + 6_000)


def said(sink: Sink, room: int, kind: str = "live") -> list[tuple[int, int]]:
    return sink.said(kind, f"twitch:id:{room}")


def known(intake: LiveIntake) -> set[str]:
    return {one.channel.removeprefix("twitch:id:") for one in intake.channels.all()}


def test_channels_that_come_and_go_are_taken_without_end(sink: Sink) -> None:
    intake = intake_into(sink)
    observe(intake, 7, 0)
    for room in range(100, 150):
        visit(intake, room, (room - 100) * 10_000)
        assert said(sink, room) == [((room - 100) * 10_000, (room - 100) * 10_000 + 4_000)]
        assert len(known(intake)) <= KNOWN
    assert intake.counters.unknown_channel_events == 0
    assert intake.counters.forgotten_channels == 50 - (KNOWN - 1)
    assert "7" in known(intake)
    intake.flush(T0_MS + 500_000)
    assert said(sink, 7) == [(0, 494_000)], "who is heard is never forgotten"


def test_foreign_room_ids_take_no_place_from_a_channel_that_is_heard(sink: Sink) -> None:
    intake = intake_into(sink)
    observe(intake, 7, 0)
    say(intake, 1_000, [7, *range(100, 150)])
    observe(intake, 8, 2_000)
    say(intake, 9_000, [7, 8])
    assert (said(sink, 7), said(sink, 8)) == ([(0, 8_000)], [(2_000, 8_000)])
    assert intake.counters.unknown_channel_events == 0


def test_the_channel_heard_longest_ago_is_forgotten_first(sink: Sink) -> None:
    intake = intake_into(sink)
    for room in (1, 2, 3, 4, 5):
        visit(intake, room, room * 10_000)
    say(intake, 70_000, [1])
    say(intake, 71_000, [6])
    assert known(intake) == {"1", "3", "4", "5", "6"}


def test_whoever_is_heard_or_has_something_to_say_keeps_its_place_and_the_next_is_dropped_and_counted(
    sink: Sink,
) -> None:
    intake = intake_into(sink)
    for room in (1, 2, 3):
        observe(intake, room, 0)
    visit(intake, 4, 0)
    visit(intake, 4, 20_000)  # with a hole between
    observe(intake, 5, 20_000)
    say(intake, 29_000, [5])
    intake.lost("c5", 1)  # what was heard is not claimed yet
    say(intake, 30_000, [1, 2, 3, 6])
    assert intake.counters.unknown_channel_events == 1
    assert said(sink, 5) == [(20_000, 28_000)]
    say(intake, 31_000, [7])
    assert known(intake) == {"1", "2", "3", "4", "7"}, "5 has said all; the hole of 4 is open"
    say(intake, 26_000 + HOLE_WAIT_MS, [1, 2, 3])
    assert said(sink, 4, "absent") == [(4_000, 20_000)]
    for room in (8, 9):
        say(intake, 27_000 + HOLE_WAIT_MS, [room])
    assert known(intake) == {"1", "2", "3", "8", "9"}


def test_a_forgotten_channel_that_comes_back_goes_on_counting_and_declares_the_hole(sink: Sink) -> None:
    intake = intake_into(sink)
    visit(intake, 1, 0)
    for room in range(100, 110):
        visit(intake, room, 20_000)
    assert "1" not in known(intake)
    visit(intake, 1, 50_000)
    intake.flush(T0_MS + 60_000 + HOLE_WAIT_MS)
    assert said(sink, 1) == [(0, 4_000), (50_000, 54_000)]
    assert said(sink, 1, "absent") == [(4_000 - 1, 50_000)] or said(sink, 1, "absent") == [(4_000, 50_000)]
    seqs = [one.seq for one in sink.envelopes if one.channel == "twitch:id:1"]
    assert seqs == list(range(len(seqs)))


def test_nothing_is_claimed_before_what_was_dropped_of_a_channel_that_was_forgotten(sink: Sink) -> None:
    intake = intake_into(sink)
    observe(intake, 1, 0)
    sink.room = False
    say(intake, 5_000, [1])
    sink.room = True
    intake.lost("c1", 1)
    intake.flush(T0_MS + 5_100)
    say(intake, 5_200, range(100, 110))
    assert "1" not in known(intake)
    observe(intake, 1, 3_000)
    say(intake, 9_000, [1])
    assert said(sink, 1) == [(5_001, 8_000)]


def test_what_is_kept_of_the_forgotten_is_bounded_and_counted(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "MAX_LEFT", 3)
    intake = intake_into(sink)
    for room in range(100, 110):
        visit(intake, room, 0)
    intake.flush(T0_MS)
    assert (intake.counters.forgotten_channels, intake.counters.forgotten_ends) == (10 - KNOWN, 10 - KNOWN - 3)
