"""History: what a recent-messages service returns, and what it may be believed. Over real HTTP."""

import pytest
from aiohttp import web

from schemas.columns import EventColumns
from streams.collect.live.history import (
    MARGIN_MS,
    MAX_BODY_BYTES,
    HistoryClient,
    HistoryError,
    HistoryUrlError,
    PerMinute,
)
from streams.collect.simulation import Envelopes, LineWriter, Simulation
from streams.collect.twitch_sim.recent import exported
from tests.scripted_history import CHANNEL, LOGIN, T0, Service, client_of, every_second, message, said


async def test_the_events_of_the_gap_are_those_that_came_live(service: Service) -> None:
    simulation = Simulation(5, channels=2, rate_per_s=20)
    (step, *_) = simulation.run(T0, T0 + 10_000)
    lines = [line for line in LineWriter(simulation).lines(step) if b" #ember" in line]
    ban = (
        b"@ban-duration=1;room-id=900001;target-user-id=7;tmi-sent-ts=%d :tmi.twitch.tv CLEARCHAT #ember :ann\r\n" % T0
    )
    service.messages = [exported(line, T0 + 11_000).decode() for line in [*lines, ban]]
    assert any(" :" not in message.split("PRIVMSG", 1)[1] for message in service.messages if "PRIVMSG" in message)
    live = Envelopes(simulation, T0).events(step)[0]
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0, T0 + 10_000)
    assert client.metrics.history_lines_not_read_total == 0
    with_id = live.take(live.kind < 6)  # bans and deletions have no id by which they could be known again
    assert facts(found.events) == facts(with_id)


def facts(events: EventColumns) -> set[tuple[bytes, int, int, str, int]]:
    return {
        (bytes(one), at, kind, events.viewers[who][0], amount)
        for one, at, kind, who, amount in zip(
            events.ids,
            events.at.tolist(),
            events.kind.tolist(),
            events.who.tolist(),
            events.amount.tolist(),
            strict=True,
        )
    }


async def test_a_gap_with_lines_on_both_sides_is_vouched_for_whole(service: Service) -> None:
    service.messages = every_second(0, 100)
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
    assert (found.from_ms, found.to_ms) == (T0 + 30_000, T0 + 60_000)
    assert sorted(found.events.at.tolist()) == [T0 + 1000 * second for second in range(30, 60)]
    assert service.asked == ["/recent/ember?limit=800"]


async def test_what_is_older_than_the_oldest_line_is_not_vouched_for(service: Service) -> None:
    service.messages = every_second(40, 100)
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
        assert (found.from_ms, found.to_ms) == (T0 + 40_000 + MARGIN_MS, T0 + 60_000)
        assert found.gone_before_ms == found.from_ms
        found = await client.fetch(CHANNEL, LOGIN, T0 + 10_000, T0 + 30_000)
        assert found.from_ms >= found.to_ms
        assert len(found.events) == 0


async def test_what_is_newer_than_the_newest_line_is_not_vouched_for_yet(service: Service) -> None:
    service.messages = every_second(0, 50)
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
    assert (found.from_ms, found.to_ms) == (T0 + 30_000, T0 + 49_000 - MARGIN_MS)
    assert len(found.events) == 20, "events that were returned are given all the same"


async def test_no_lines_vouch_for_nothing_and_nothing_is_gone(service: Service) -> None:
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
    assert found.from_ms >= found.to_ms
    assert found.gone_before_ms == T0 + 30_000


async def test_a_service_that_does_not_follow_the_channel_is_not_believed(service: Service) -> None:
    async with client_of(service) as client:
        service.fail = [said(every_second(0, 100), "not joined", "channel_not_joined")]
        with pytest.raises(HistoryError, match="does not follow"):
            await client.fetch(CHANNEL, LOGIN, T0, T0 + 60_000)


async def test_lines_of_another_room_and_lines_that_cannot_be_read_are_counted_and_left_out(service: Service) -> None:
    service.messages = [*every_second(0, 10), message(T0 + 5_000, 99, room=1), "", "@a", "FLY", "\ud800"]
    service.messages.pop()  # a lone surrogate cannot be sent as JSON by orjson
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0, T0 + 60_000)
    assert len(found.events) == 10
    assert client.metrics.history_lines_foreign_total == 1
    assert client.metrics.history_lines_not_read_total == 3


async def test_lines_of_another_room_vouch_for_nothing(service: Service) -> None:
    """The login may be another channel's by now, or the service mistaken: its lines are none that we missed."""
    service.messages = [message(T0 + 1000 * second, second, room=1) for second in range(100)]
    async with client_of(service) as client:
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
        assert (len(found.events), found.from_ms, found.to_ms, found.gone_before_ms) == (0, *[T0 + 30_000] * 3)
        assert client.metrics.history_lines_foreign_total == 100
        service.messages[40:50] = every_second(40, 50)
        found = await client.fetch(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)
    assert (len(found.events), found.from_ms, found.to_ms) == (10, T0 + 40_000 + MARGIN_MS, T0 + 49_000 - MARGIN_MS)


async def test_copies_and_clears_of_the_channel_vouch_and_those_of_another_do_not(service: Service) -> None:
    def odd(at_ms: int, room: int) -> list[str]:
        times = f"room-id={room};tmi-sent-ts={at_ms}"
        return [
            f"@{times};id=x;source-room-id=5;user-id=7 :ann!ann@ann.tmi.twitch.tv PRIVMSG #ember :copied",
            f"@{times} :tmi.twitch.tv CLEARCHAT #ember",
        ]

    async with client_of(service) as client:
        for line in range(2):
            mine = [odd(T0 + 1_000 * second, 900001)[line] for second in (10, 90)]
            foreign = [odd(T0 + 1_000 * second, 1)[line] for second in (0, 100)]
            service.messages = [foreign[0], mine[0], *every_second(50, 51), mine[1], foreign[1]]
            found = await client.fetch(CHANNEL, LOGIN, T0, T0 + 200_000)
            assert (found.from_ms, found.to_ms) == (T0 + 10_000 + MARGIN_MS, T0 + 90_000 - MARGIN_MS)
        service.messages = [f"@rm-received-ts={T0 + 50_000} :tmi.twitch.tv NOTICE #ember :hi"]
        found = await client.fetch(CHANNEL, LOGIN, T0, T0 + 200_000)
        assert found.from_ms >= found.to_ms, "nobody says whose room that was"
        assert client.metrics.history_lines_foreign_total == 4


@pytest.mark.parametrize(
    ("answer", "why", "counted"),
    [
        ((500, b"secret chat"), "answered 500", "status 5xx"),
        ((200, b"secret chat"), "not the JSON", "not understood"),
        ((200, b'{"messages": 7}'), "not the JSON", "not understood"),
        ((200, b" " * (MAX_BODY_BYTES + 1)), "over", "too long"),
    ],
)
async def test_a_bad_answer_is_an_error_that_quotes_nothing_and_is_counted(
    service: Service, answer: tuple[int, bytes], why: str, counted: str
) -> None:
    service.fail = [web.Response(status=answer[0], body=answer[1])]
    async with client_of(service) as client:
        with pytest.raises(HistoryError, match=why) as raised:
            await client.fetch(CHANNEL, LOGIN, T0, T0 + 1000)
    assert "secret" not in str(raised.value)
    assert client.metrics.history_failures_total == {counted: 1}


async def test_a_service_that_does_not_answer_is_given_up_in_time(service: Service) -> None:
    service.never = True
    async with client_of(service, timeout_s=0.1) as client:
        with pytest.raises(HistoryError, match="cannot be reached"):
            await client.fetch(CHANNEL, LOGIN, T0, T0 + 1000)


@pytest.mark.parametrize("url", ["", "ftp://x/{channel}", "https://example.com/recent"])
def test_a_url_without_a_place_for_the_channel_is_refused(url: str) -> None:
    with pytest.raises(HistoryUrlError, match="cannot be used"):
        HistoryClient(url)


async def test_a_login_that_is_none_never_gets_into_a_url(service: Service) -> None:
    async with client_of(service) as client:
        with pytest.raises(HistoryError, match="login"):
            await client.fetch(CHANNEL, "../admin", T0, T0 + 1000)
    assert service.asked == []


def test_no_more_requests_in_any_minute_than_allowed() -> None:
    limit = PerMinute.of(2)
    now_s, made = 0.0, []
    for _ in range(6):
        made.append(now_s + limit.wait_s(now_s))
        now_s += 1
    assert made == [0, 1, 60, 61, 120, 121]
    assert limit.wait_s(1000) == 0
