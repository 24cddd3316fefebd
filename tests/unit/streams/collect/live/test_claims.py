"""What the Intake claims to have observed, rule by rule, in a time of the test's own."""

from typing import Any

import pytest

from schemas.envelope import MAX_EVENTS, decode
from streams.collect.live.claims import JOIN_MARGIN_MS
from streams.collect.live.framing import LineBuffer
from streams.collect.live.intake import HOLE_WAIT_MS, TICK_MS, LiveIntake
from tests.live import T0_MS, Sink, chat, intake_into


def start(sink: Sink, ahead_ms: int = 0, **given: Any) -> LiveIntake:
    """An Intake that hears chan over connection 1, and may claim it from T0 on; this machine's clock is ahead_ms ahead
    of Twitch's, and lines are 20 ms on their way."""
    intake = intake_into(sink, **given)
    intake.observing("chan", "22", 1, T0_MS + ahead_ms + 20 - JOIN_MARGIN_MS)
    return intake


def say(intake: LiveIntake, ms: int, *, connection: int = 1, ahead_ms: int = 0, number: int = 0) -> None:
    """A line stamped T0 + ms arrives 20 ms later, and is flushed."""
    at_ms = T0_MS + ahead_ms + ms + 20
    intake.received(connection, chat(T0_MS + ms, number), at_ms)
    intake.flush(at_ms)


@pytest.mark.parametrize("ahead_ms", [0, -9_000, 9_000])
def test_a_claim_goes_from_the_confirmation_to_1_s_before_the_newest_line_in_twitchs_time(ahead_ms: int) -> None:
    sink = Sink()
    intake = start(sink, ahead_ms)
    for ms in (100, 2_000, 5_000):
        say(intake, ms, ahead_ms=ahead_ms)
    assert sink.said() == [(0, 4_000)]


@pytest.mark.parametrize("ahead_ms", [10_001, -10_100])
def test_where_clocks_differ_by_more_than_10_s_nothing_is_claimed_but_events_go_out(ahead_ms: int) -> None:
    sink = Sink()
    intake = start(sink, ahead_ms)
    for ms in (100, 2_000, 5_000):
        say(intake, ms, ahead_ms=ahead_ms)
    assert sink.said() == []
    assert len(sink.rows()) == 3
    assert intake.counters.claims_refused_clock == 3


def test_nothing_is_claimed_before_the_first_time_stamp_and_then_all_that_was_heard() -> None:
    sink = Sink()
    intake = start(sink)
    intake.received(1, b":tmi.twitch.tv PONG tmi.twitch.tv :x\r\n", T0_MS + 15_000)
    intake.flush(T0_MS + 20_000)
    assert sink.said() == []
    say(intake, 30_000)
    assert sink.said() == [(0, 29_000)]


def test_a_channel_without_twitch_id_claims_from_its_confirmation_once_a_line_says_it() -> None:
    sink = Sink()
    intake = intake_into(sink)
    intake.observing("chan", None, 1, T0_MS + 20 - JOIN_MARGIN_MS)
    intake.flush(T0_MS + TICK_MS)
    assert sink.values == []
    say(intake, 3_000)
    assert sink.said() == [(0, 2_000)]


def test_lines_of_another_channel_on_the_connection_prove_it_too_and_a_quiet_channel_ticks() -> None:
    sink = Sink()
    intake = start(sink)
    intake.observing("busy", "33", 1, T0_MS + 20 - JOIN_MARGIN_MS)
    for ms in range(1_000, 30_001, 1_000):
        intake.received(1, chat(T0_MS + ms, room=33, channel="busy"), T0_MS + ms + 20)
        intake.flush(T0_MS + ms + 20)
    ticks = [one for one in sink.envelopes if one.channel == "twitch:id:22"]
    assert all(one.type == "tick" and one.observed for one in ticks)
    assert len(ticks) == 30_000 // TICK_MS - 1  # the first one had nothing to say yet
    assert sink.said()[0][1] >= 30_000 - TICK_MS - 1_000
    assert sink.said(channel="twitch:id:33") == [(0, 29_000)]


def test_a_half_open_connection_claims_no_time_beyond_its_last_byte() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    buffer = LineBuffer()
    for ms in range(6_000, 120_000, 250):
        if lines := buffer.feed(b"@badge"):  # at most bytes of a line that never ends
            intake.received(1, lines, T0_MS + ms)
        intake.flush(T0_MS + ms)
    intake.lost("chan", 1)
    intake.flush(T0_MS + 120_000)
    assert sink.said() == [(0, 4_000)]


def test_a_pong_moves_a_quiet_connection_on_once_it_has_settled() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 1_000)
    intake.received(1, b":tmi.twitch.tv PONG tmi.twitch.tv :x\r\n", T0_MS + 15_020)
    intake.flush(T0_MS + 15_520)
    assert sink.said() == [(0, 14_000 - 14_000)] or sink.said() == []
    intake.flush(T0_MS + 16_020)
    intake.flush(T0_MS + 16_020 + TICK_MS)
    assert sink.said() == [(0, 15_000 - 1_020 + 20)]


def test_a_backlog_after_a_stall_is_claimed_by_its_stamps_not_by_its_arrival() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 1_000)
    arrival_ms = T0_MS + 31_000  # 30 s of nothing, then what the server sent meanwhile begins to arrive
    intake.received(1, b":tmi.twitch.tv PONG tmi.twitch.tv :x\r\n" + chat(T0_MS + 2_000), arrival_ms)
    intake.flush(arrival_ms)
    intake.lost("chan", 1)  # and the rest never does
    intake.flush(arrival_ms + 250)
    assert sink.said() == [(0, 1_000)]


def test_bytes_without_a_stamp_prove_nothing_when_the_connection_ends_before_they_settle() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 1_000)
    intake.received(1, b":tmi.twitch.tv PONG tmi.twitch.tv :x\r\n", T0_MS + 31_000)
    intake.lost("chan", 1)
    intake.flush(T0_MS + 40_000)
    assert sink.said() == []  # 1 s before the line is before the confirmation


def test_an_old_line_again_and_a_wild_stamp_move_no_claim() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.received(1, chat(T0_MS - 3_600_000, 1), T0_MS + 6_020)  # an hour old
    intake.received(1, chat(T0_MS + 86_400_000, 2), T0_MS + 6_020)  # from tomorrow
    intake.flush(T0_MS + 6_020)
    assert sink.said() == [(0, 5_000)]
    assert intake.counters.quarantined_events == 1
    assert len(sink.dead) == 1
    assert b'"events":1' in sink.dead[0]
    assert len(sink.rows()) == 2


def test_over_two_connections_the_claim_is_the_union_and_a_handover_leaves_no_hole() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.observing("chan", "22", 2, T0_MS + 6_020)
    say(intake, 9_000, connection=1)
    say(intake, 9_000, connection=2)
    intake.lost("chan", 1)
    say(intake, 20_000, connection=2)
    assert sink.said() == [(0, 19_000)]
    assert list(intake.holes()) == []
    assert len({row[2] for row in sink.rows()}) == 3


def test_a_connection_that_ended_leaves_a_hole_that_is_declared_absent_after_60_s() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.lost("chan", 1)
    intake.observing("chan", "22", 2, T0_MS + 185_020 - JOIN_MARGIN_MS)
    say(intake, 187_000, connection=2)
    assert sink.said() == [(0, 4_000), (185_000, 186_000)]
    (hole,) = intake.holes()
    assert (hole.from_ms - T0_MS, hole.to_ms - T0_MS, hole.login) == (4_000, 185_000, "chan")
    noticed_ms = T0_MS + 187_020
    intake.flush(noticed_ms + HOLE_WAIT_MS - 1)
    assert sink.said("absent") == []
    intake.flush(noticed_ms + HOLE_WAIT_MS)
    assert sink.said("absent") == [(4_000, 185_000)]
    assert list(intake.holes()) == []
    intake.flush(noticed_ms + 2 * HOLE_WAIT_MS)
    assert (intake.counters.holes, intake.counters.holes_absent) == (1, 1)


def test_a_hole_filled_from_history_is_recovered_and_not_absent() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.lost("chan", 1)
    intake.observing("chan", "22", 2, T0_MS + 30_020 - JOIN_MARGIN_MS)
    say(intake, 32_000, connection=2)
    (hole,) = intake.holes()
    history = Sink()
    other = intake_into(history)
    lines = b"".join(chat(T0_MS + ms) for ms in range(4_000, 30_000, 100))
    other.received(1, lines, T0_MS + 32_000)
    other.flush(T0_MS + 32_000)
    (first, second) = (envelope.columns() for envelope in history.envelopes)
    intake.recovered(hole.channel, first, hole.from_ms, T0_MS + 20_000)
    assert [(one.from_ms - T0_MS, one.to_ms - T0_MS) for one in intake.holes()] == [(20_000, 30_000)]
    intake.recovered(hole.channel, second, T0_MS + 20_000, hole.to_ms)
    intake.flush(T0_MS + 32_020 + 2 * HOLE_WAIT_MS)
    assert sink.said("recovered") == [(4_000, 30_000)]
    assert sink.said("absent") == []
    assert len({row[2] for row in sink.rows()}) == 1 + 260  # one of the two live lines is in the history, too


def test_a_new_session_declares_the_hole_since_the_last_one() -> None:
    sink = Sink()
    intake = start(sink, said_to_ms={"twitch:id:22": T0_MS - 50_000, "twitch:id:99": 5})
    say(intake, 2_000)
    intake.flush(T0_MS + 2_020 + HOLE_WAIT_MS)
    assert sink.said("absent") == [(-50_000, 0)]
    assert {one.channel for one in sink.envelopes} == {"twitch:id:22"}


def test_a_hole_of_months_takes_several_records_within_the_bound_of_one() -> None:
    sink = Sink()
    day_ms = 86_400_000
    intake = start(sink, said_to_ms={"twitch:id:22": T0_MS - 70 * day_ms})
    say(intake, 2_000)
    intake.flush(T0_MS + 2_020 + HOLE_WAIT_MS)
    assert sink.said("absent") == [(-70 * day_ms, 0)]


def test_an_envelope_refused_leaves_a_hole_over_all_its_events_times() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    sink.room = False
    intake.received(1, b"".join(chat(T0_MS + 6_000 + i) for i in range(MAX_EVENTS + 50)), T0_MS + 6_300)
    intake.flush(T0_MS + 6_300)
    sink.room = True
    for ms in (6_400, 8_000, 9_000):
        say(intake, ms)
    lost_until_ms = 6_000 + MAX_EVENTS + 50
    assert sink.said() == [(0, 4_000), (lost_until_ms, 8_000)]
    assert intake.counters.dropped_events == MAX_EVENTS + 50
    intake.flush(T0_MS + 9_020 + HOLE_WAIT_MS)
    assert sink.said("absent") == [(4_000, lost_until_ms)]


def test_no_claim_goes_out_when_only_a_part_of_its_events_found_room() -> None:
    class OneMore(Sink):
        def put(self, channel: str, value: bytes, events: int, *, said_to_ms: int | None = None) -> bool:
            self.room = bool(self.refused)  # the first is refused, what follows is taken
            return super().put(channel, value, events, said_to_ms=said_to_ms)

    sink = OneMore()
    intake = start(sink)
    intake.received(1, b"".join(chat(T0_MS + 2_000 + i) for i in range(3 * MAX_EVENTS)), T0_MS + 2_619)
    intake.flush(T0_MS + 2_619)
    assert len(sink.rows()) == 2 * MAX_EVENTS
    assert sink.said() == []
    say(intake, 5_000)
    (refused,) = map(decode, sink.refused)
    assert sink.said() == [(refused.columns().span_ms[1] + 1 - T0_MS, 4_000)]


def test_a_hole_that_finds_no_room_is_declared_later() -> None:
    sink = Sink()
    intake = start(sink, said_to_ms={"twitch:id:22": T0_MS - 50_000})
    say(intake, 2_000)
    sink.room = False
    intake.flush(T0_MS + 2_020 + HOLE_WAIT_MS)
    sink.room = True
    intake.flush(T0_MS + 2_270 + HOLE_WAIT_MS)
    assert sink.said("absent") == [(-50_000, 0)]


def test_a_login_that_goes_over_to_another_channel_is_claimed_for_each_in_its_time() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.received(1, chat(T0_MS + 6_000, room=44), T0_MS + 6_020)
    intake.flush(T0_MS + 6_020)
    intake.received(1, chat(T0_MS + 9_000, room=44), T0_MS + 9_020)
    intake.flush(T0_MS + 9_020)
    assert sink.said() == [(0, 5_000)]
    assert sink.said(channel="twitch:id:44") == [(6_500, 8_000)]
    assert intake.counters.room_changes == 1


def test_a_renamed_channel_goes_on_under_its_new_login() -> None:
    sink = Sink()
    intake = start(sink)
    say(intake, 5_000)
    intake.observing("newname", "22", 1, T0_MS + 6_020)
    intake.received(1, chat(T0_MS + 9_000, channel="newname"), T0_MS + 9_020)
    intake.flush(T0_MS + 9_020)
    assert sink.said() == [(0, 8_000)]
    assert sink.envelopes[-1].login == "newname"


def test_sequence_numbers_count_a_channels_envelopes_and_a_refused_one_leaves_a_jump() -> None:
    sink = Sink()
    intake = start(sink)
    for number, room in enumerate([True, True, False, True]):
        sink.room = room
        say(intake, 5_000 + 1_000 * number)
    assert [one.seq for one in sink.envelopes] == [0, 1, 3]
    assert {one.source for one in sink.envelopes} == {"s"}


def test_connections_that_hear_nothing_any_more_are_forgotten() -> None:
    sink = Sink()
    intake = start(sink)
    for number in range(2, 50):
        intake.observing("chan", "22", number, T0_MS + number)
        intake.observing("other", None, number, T0_MS + number)
        intake.lost("chan", number - 1)
        intake.lost("other", number - 1)
    assert set(intake.channels.connections) == {49}
    intake.lost("chan", 49)
    intake.lost("chan", 49)
    intake.lost("other", 49)
    assert not intake.channels.connections


def test_lines_that_lag_after_a_start_move_no_claim_before_its_confirmation() -> None:
    """The first lines are read 2 s late, as by a process that was held up; a channel confirmed after that is claimed
    from then on, whatever the medians of the clocks still say."""
    sink = Sink()
    intake = start(sink)
    for ms in range(0, 1_000, 100):
        intake.received(1, chat(T0_MS + ms), T0_MS + 2_000)
    intake.flush(T0_MS + 2_000)
    assert intake.clock.ahead_ms is not None and intake.clock.ahead_ms > 1_500
    intake.observing("other", "33", 2, T0_MS + 3_000)
    intake.flush(T0_MS + 3_000)
    for ms in range(3_020, 6_020, 100):
        intake.received(2, chat(T0_MS + ms, room=33, channel="other"), T0_MS + ms + 20)
        intake.flush(T0_MS + ms + 20)
    claimed = sink.said(channel="twitch:id:33")
    assert claimed == [(3_000 - 20 + JOIN_MARGIN_MS, 5_920 - 1_000)]


def test_a_stamp_beyond_10_s_of_the_future_delays_no_claim() -> None:
    sink = Sink()
    intake = start(sink)
    intake.received(1, chat(T0_MS + 3_600_000), T0_MS + 10)
    for ms in (100, 200, 5_000):
        say(intake, ms)
    assert sink.said() == [(0, 4_000)]
