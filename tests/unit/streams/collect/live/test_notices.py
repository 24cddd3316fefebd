"""NOTICEs and numerics sorted."""

import pytest

from streams.collect.irc import parse_line
from streams.collect.live.membership import RETRY_S
from streams.collect.live.notices import Refusal, refusal_of


@pytest.mark.parametrize(
    ("line", "login", "refusal"),
    [
        (b"@msg-id=msg_channel_suspended :t NOTICE #Ember :x", "ember", Refusal.SUSPENDED),
        (b"@msg-id=msg_room_not_found :t NOTICE #a :x", "a", Refusal.NOT_FOUND),
        (b"@msg-id=tos_ban :t NOTICE #a :x", "a", Refusal.SUSPENDED),
        (b"@msg-id=msg_banned :t NOTICE #a :x", "a", Refusal.BANNED),
        (b"@msg-id=msg_ratelimit :t NOTICE #a :x", "a", Refusal.RATE_LIMITED),
        (b"@msg-id=msg_concurrent_channel_limit_reached :t NOTICE #a :x", "a", Refusal.CHANNEL_LIMIT),
        (b":irc 403 nick #a :No such channel", "a", Refusal.NOT_FOUND),
        (b":irc 474 nick #a :banned", "a", Refusal.BANNED),
        (b":irc 405 nick #a :too many", "a", Refusal.CHANNEL_LIMIT),
    ],
)
def test_refusals_are_told_by_msg_id_or_numeric(line: bytes, login: str, refusal: Refusal) -> None:
    said = refusal_of(parse_line(line))
    assert said is not None and (said.login, said.refusal) == (login, refusal)


@pytest.mark.parametrize(
    "line",
    [
        b"@msg-id=slow_on :t NOTICE #a :x",
        b"@msg-id=msg_banned :t NOTICE * :x",
        b":t NOTICE #a :This channel has been suspended.",
        b":t NOTICE",
        b":t 353 nick = #a :nick",
        b":t 403 nick",
        b":t 403 nick a",
        b"@msg-id=msg_banned :t NOTICE #\xff :x",
    ],
)
def test_all_else_says_nothing_of_membership(line: bytes) -> None:
    assert refusal_of(parse_line(line)) is None


def test_every_refusal_is_waited_out_and_tried_again() -> None:
    assert set(RETRY_S) == set(Refusal)
    assert all(0 < first_s < last_s <= 86_400 for first_s, last_s in RETRY_S.values())
