"""PINGs and their deadlines by a clock that the test moves."""

from streams.collect.live.keepalive import Deadlines, Keepalive, Verdict

D = Deadlines(ping_s=5, silent_s=8, answer_s=30)


def test_a_ping_is_due_every_interval_and_never_later_than_fifteen_seconds() -> None:
    assert Deadlines().ping_s <= 15
    one = Keepalive(0, D)
    assert one.verdict(4.9) is Verdict.WAIT
    assert one.verdict(5) is Verdict.PING
    token = one.ping(5)
    assert one.verdict(5) is Verdict.WAIT and one.next_s(5) == 5
    assert one.pong(token)
    assert one.verdict(10) is Verdict.PING


def test_silence_after_a_ping_is_death_and_any_byte_is_life() -> None:
    one = Keepalive(0, D)
    one.ping(5)
    assert one.verdict(12.9) is not Verdict.SILENT
    assert one.verdict(13) is Verdict.SILENT
    one.heard(12)
    assert one.verdict(19) is not Verdict.SILENT
    assert one.verdict(20) is Verdict.SILENT


def test_silence_without_a_ping_is_none() -> None:
    assert Keepalive(0, D).verdict(1_000) is Verdict.PING


def test_bytes_without_an_answer_are_told_once_per_deadline() -> None:
    one = Keepalive(0, D)
    one.ping(5)
    one.heard(34)
    assert one.verdict(34.9) is Verdict.PING
    assert one.verdict(35) is Verdict.UNANSWERED
    assert one.verdict(35) is Verdict.PING
    one.ping(35)
    one.heard(64)
    assert one.verdict(65) is Verdict.UNANSWERED


def test_only_an_open_ping_of_ours_is_answered_by_a_pong() -> None:
    one = Keepalive(0, D)
    first, second = one.ping(5), one.ping(10)
    for wrong in (
        b"",
        b"tmi.twitch.tv",
        b"twzrd-",
        b"twzrd-0",
        b"twzrd-3",
        b"twzrd--1",
        b"twzrd-1x",
        b"1",
        b"9" * 5000,
    ):
        assert not one.pong(wrong)
    assert one.pong(second)
    assert not one.pong(first) and not one.pong(second)  # both are answered
    assert one.verdict(14.9) is Verdict.WAIT


def test_an_old_pong_leaves_the_newer_ping_open() -> None:
    one = Keepalive(0, D)
    first = one.ping(5)
    one.ping(10)
    assert one.pong(first)
    one.heard(10)
    assert one.verdict(18) is Verdict.SILENT


def test_the_next_look_is_never_later_than_the_next_verdict() -> None:
    one, now_s, pings = Keepalive(0, D), 0.0, 0
    while one.verdict(now_s) is not Verdict.SILENT:
        if one.verdict(now_s) is Verdict.PING:
            one.ping(now_s)
            pings += 1
        now_s += one.next_s(now_s)
    assert (now_s, pings) == (13, 2)
