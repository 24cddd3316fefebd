"""The horizon's timer as a pure thing: which late epochs wait, which are due, what a restart must read again."""

import pytest

from schemas.envelope import encode_reseal
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Closed, Late, encode_record
from streams.runner.resealer import Due, LateNotices
from tests.logs import POLICY, SCHEDULE, T0, Event, envelope, run_through

HORIZON_MS = DEFAULT_POLICY.horizon_s * 1000
HOUR_S = 1_760_000_400 - 1_760_000_400 % 3600


def late(offset: int, epoch_s: int = HOUR_S, channel: str = "twitch:id:1") -> bytes:
    return encode_record(Late(1, channel, "a", epoch_s, offset, 2))


@pytest.fixture
def notices() -> LateNotices:
    return LateNotices(PolicySchedule.of(DEFAULT_POLICY), 0)


def test_an_epoch_is_due_when_its_first_notice_is_as_old_as_the_horizon(notices: LateNotices) -> None:
    notices.feed(0, late(100), time_ms=1_000)
    notices.feed(1, late(150), time_ms=5_000_000)
    assert notices.due(1_000 + HORIZON_MS - 1) == []
    assert notices.due(1_000 + HORIZON_MS) == [Due("twitch:id:1", "a", HOUR_S)]


def test_the_position_stays_at_the_oldest_notice_that_waits(notices: LateNotices) -> None:
    notices.feed(0, late(100), 1_000)
    notices.feed(1, late(101, HOUR_S - 3600), 2_000)
    notices.feed(2, encode_record(Closed(1, "twitch:id:1", "a", 0, 3600, 7, "watermark", None)), 3_000)
    assert notices.low_water() == 0
    notices.asked("twitch:id:1", HOUR_S, 200)
    assert notices.low_water() == 1
    notices.asked("twitch:id:1", HOUR_S - 3600, 201)
    assert notices.low_water() == notices.next == 3


def test_a_notice_said_again_after_its_reseal_does_not_wait(notices: LateNotices) -> None:
    notices.feed(0, late(100), 1_000)
    notices.asked("twitch:id:1", HOUR_S, 200)
    notices.feed(1, late(100), 2_000)
    assert len(notices) == 0
    notices.feed(2, late(201), 3_000)  # a newer one does
    assert len(notices) == 1
    assert notices.due(3_000 + HORIZON_MS) == [Due("twitch:id:1", "a", HOUR_S)]


def test_a_reseal_answers_what_lay_below_it_and_nothing_newer() -> None:
    channel, epoch_s = "twitch:id:1", T0 // 1000
    answer = run_through(
        [
            envelope(channel, [Event(T0 + 1, 1)], (T0, T0 + 13_000, "live")),
            envelope(channel, [Event(T0 + 2, 2)], None),
            encode_reseal(channel, "a", "timer", 0, epoch_s, POLICY.epoch_length_s),
        ]
    ).sealed[-1]
    notices = LateNotices(SCHEDULE, 0)
    notices.feed(0, late(1, epoch_s), 1_000)
    notices.feed(1, answer, 2_000)
    assert len(notices) == 0
    notices.feed(2, late(9, epoch_s), 3_000)
    notices.feed(3, answer, 4_000)
    assert len(notices) == 1


def test_a_record_that_cannot_be_read_is_counted_and_passed_over(notices: LateNotices) -> None:
    notices.feed(0, b"junk", 1_000)
    assert notices.undecodable_total == 1
    assert notices.low_water() == 1
