"""Registration, message by message."""

import random

import pytest

from streams.collect.irc import parse_line
from streams.collect.live.handshake import CAPABILITIES, Handshake


def feed(one: Handshake, *lines: bytes) -> bytes:
    return b"".join(one.take(parse_line(line)) for line in lines)


def test_membership_is_asked_for_only_where_it_is_wanted() -> None:
    assert b"membership" not in Handshake(random.Random(1)).opening()
    one = Handshake(random.Random(1), membership=True)
    assert one.opening().count(b"CAP REQ :twitch.tv/membership\r\n") == 1
    assert feed(one, *(b":t CAP * ACK :" + name for name in CAPABILITIES)) == b""
    assert feed(one, b":t CAP * NAK :twitch.tv/membership") == b"CAP END\r\n"
    assert one.denied == {b"twitch.tv/membership"}


@pytest.mark.parametrize(
    ("lines", "granted"),
    [
        ((b":t CAP * ACK :twitch.tv/tags twitch.tv/commands",), set(CAPABILITIES)),
        ((b":t CAP * ACK :twitch.tv/tags", b":t CAP * NAK :twitch.tv/commands"), {CAPABILITIES[0]}),
        ((b":t CAP * NAK :twitch.tv/tags", b":t CAP * NAK :twitch.tv/commands "), set()),
        ((b":t 421 * CAP :Unknown command",), set()),
    ],
)
def test_cap_end_is_sent_when_every_capability_is_answered(lines: tuple[bytes, ...], granted: set[bytes]) -> None:
    one = Handshake(random.Random(1))
    assert feed(one, *lines[:-1]) == b""
    assert feed(one, lines[-1]) == b"CAP END\r\n"
    assert one.granted == granted and one.denied == set(CAPABILITIES) - granted
    assert feed(one, *lines) == b""  # said again, it is passed over
    feed(one, b":t 001 justinfan :hi")
    assert (one.welcomed, one.nick) == (True, b"justinfan")


def test_capabilities_that_were_not_asked_for_are_passed_over() -> None:
    one = Handshake(random.Random(1))
    assert feed(one, b":t CAP * ACK :sasl", b":t CAP * LS :sasl", b":t CAP * NEW :twitch.tv/tags", b":t CAP *") == b""
    assert one.granted == one.denied == set()


def test_nicks_are_changed_a_bounded_number_of_times(seed: int) -> None:
    one, tried = Handshake(random.Random(seed)), set()
    while not one.refused:
        tried.add(one.nick)
        feed(one, b":t 433 * nick :taken")
    assert len(tried) == 5


@pytest.mark.parametrize(
    "line",
    [
        b":t NOTICE * :Login authentication failed",
        b":t NOTICE * :Improperly formatted auth",
        b":t 464 * :no",
        b"ERROR :x",
    ],
)
def test_a_refused_login_is_said(line: bytes) -> None:
    one = Handshake(random.Random(1))
    feed(one, b":t NOTICE * :*** Looking up your hostname...")
    assert not one.refused
    feed(one, line)
    assert one.refused
