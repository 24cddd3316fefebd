"""Stamps of a far future while Twitch's time is not known: put aside by this machine's clock, counted, and told."""

from schemas.dead import decode as decode_dead
from streams.collect.live.dead_lines import MAX_LETTERS
from streams.collect.live.intake import UNSURE_QUARANTINE_MS
from tests.live import T0_MS, Sink, chat, intake_into

YEAR_2099_MS = 4_080_000_000_000
HOUR_MS = 3_600_000


def test_the_first_line_of_a_process_from_2099_is_no_event() -> None:
    """Nothing else says yet what Twitch's time is."""
    sink = Sink()
    intake = intake_into(sink)
    intake.received(1, chat(YEAR_2099_MS), T0_MS)
    assert intake.clock.usable_ahead_ms is None
    intake.flush(T0_MS)
    assert sink.rows() == []
    assert intake.counters.quarantined_events == 1
    (letter,) = map(decode_dead, sink.dead)
    assert (letter.what, letter.where) == ("event", {"source": "s", "channel": "twitch:id:22", "events": 1})
    assert letter.reason == "the time stamp lies 24 h or more ahead of this machine's clock; Twitch's time is not known"


def test_with_a_clock_that_is_off_events_go_out_but_those_a_day_ahead_of_it() -> None:
    sink = Sink()
    intake = intake_into(sink)
    intake.observing("chan", "22", 1, T0_MS)
    for off_ms in (-5 * HOUR_MS, 5 * HOUR_MS):
        for number in range(5):
            now_ms = T0_MS + 60_000 * number + off_ms
            stamps_ms = (T0_MS + 60_000 * number, now_ms + UNSURE_QUARANTINE_MS - 1, now_ms + UNSURE_QUARANTINE_MS)
            intake.received(1, chat(stamps_ms[0]), now_ms)
            assert intake.clock.usable_ahead_ms is None
            intake.received(1, chat(stamps_ms[1]) + chat(stamps_ms[2]) + chat(YEAR_2099_MS), now_ms)
            intake.flush(now_ms)
    assert len(sink.rows()) == 20
    assert intake.counters.quarantined_events == 20
    assert sink.said() == []


def test_letters_of_events_are_bounded_too_and_the_rest_is_said_in_one() -> None:
    sink = Sink()
    intake = intake_into(sink)
    lines = (chat(YEAR_2099_MS, number, room=number, channel=f"c{number}") for number in range(MAX_LETTERS + 30))
    intake.received(1, b"".join(lines), T0_MS)
    intake.flush(T0_MS)
    letters = [decode_dead(letter) for letter in sink.dead]
    assert len(letters) == MAX_LETTERS + 1
    assert (letters[-1].what, letters[-1].where) == ("event", {"source": "s", "events": 30})
    assert intake.counters.quarantined_events == MAX_LETTERS + 30
    intake.flush(T0_MS + 250)
    assert len(sink.dead) == MAX_LETTERS + 1, "said once"
