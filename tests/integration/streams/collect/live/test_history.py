"""History: what a recent-messages service returns, and what it may be believed. Over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from schemas.columns import EventColumns
from streams.collect.live.gap_filler import Gap, GapFiller
from streams.collect.live.history import (
    MARGIN_MS,
    MAX_BODY_BYTES,
    HistoryClient,
    HistoryError,
    HistoryUrlError,
    PerMinute,
    Recovered,
    no_events,
)
from streams.collect.simulation import Envelopes, LineWriter, Simulation
from streams.collect.twitch_sim.recent import exported

T0 = 1_767_225_600_000
CHANNEL, LOGIN = "twitch:id:900001", "ember"
Handler = Callable[[web.Request], "web.StreamResponse | asyncio.Future[web.StreamResponse]"]


class Service:
    """A scripted recent-messages service. messages: what it returns; fail: answers that come before."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.fail: list[web.Response] = []
        self.asked: list[str] = []
        self.on_request: Callable[[], None] = lambda: None
        self.never = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        self.on_request()
        if self.never:
            await asyncio.Event().wait()
        if self.fail:
            return self.fail.pop(0)
        return said(self.messages)


def said(messages: list[str], error: str | None = None, code: str | None = None) -> web.Response:
    body = orjson.dumps({"messages": messages, "error": error, "error_code": code})
    return web.Response(body=body, content_type="application/json")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    app = web.Application()
    app.router.add_get("/recent/{channel}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/recent/{{channel}}?limit=800"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def client_of(service: Service, timeout_s: float = 5.0) -> AsyncIterator[HistoryClient]:
    async with HistoryClient(service.url, timeout_s=timeout_s) as client:
        yield client


def message(at_ms: int, number: int, text: str = ":hello there", room: int = 900001) -> str:
    tags = f"historical=1;id=00000000-0000-4000-8000-{number:012x};rm-received-ts={at_ms + 50};room-id={room}"
    return f"@{tags};tmi-sent-ts={at_ms};user-id=7 :ann!ann@ann.tmi.twitch.tv PRIVMSG #ember {text}"


def every_second(start_s: int, end_s: int) -> list[str]:
    return [message(T0 + 1000 * second, second) for second in range(start_s, end_s)]


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


# ---- the filler ----------------------------------------------------------------------------------------------------


class Told:
    """An Intake that remembers what it was told."""

    def __init__(self) -> None:
        self.recovered_: list[tuple[int, int, int]] = []
        self.absent_: list[tuple[int, int]] = []
        self.something = asyncio.Event()

    def recovered(self, channel: str, events: EventColumns, from_ms: int, to_ms: int) -> None:
        assert channel == CHANNEL
        self.recovered_.append((from_ms - T0, to_ms - T0, len(events)))
        self.something.set()

    def absent(self, channel: str, from_ms: int, to_ms: int) -> None:
        assert channel == CHANNEL
        self.absent_.append((from_ms - T0, to_ms - T0))
        self.something.set()


@asynccontextmanager
async def filling(service: Service, patience_s: float) -> AsyncIterator[tuple[GapFiller, Told]]:
    told = Told()
    async with client_of(service) as client:
        filler = GapFiller(client, told, patience_s=patience_s, first_pause_s=0.02)
        yield filler, told
        await filler.close()


async def ended(filler: GapFiller) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(*filler._work.values())


GAP = Gap(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)


async def test_a_gap_is_filled_once_and_asked_for_once(service: Service) -> None:
    service.messages = every_second(0, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        filler.fill(GAP)
        filler.fill(GAP._replace(from_ms=T0 + 40_000))
        await ended(filler)
        assert filler.in_work == 0
    assert told.recovered_ == [(30_000, 60_000, 30)]
    assert told.absent_ == []
    assert len(service.asked) == 1


async def test_what_the_service_no_longer_has_is_absent_at_once_and_the_rest_recovered(service: Service) -> None:
    service.messages = every_second(40, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert told.recovered_ == [(41_000, 60_000, 20)]
    assert told.absent_ == [(30_000, 41_000)]
    assert len(service.asked) == 1


async def test_it_asks_again_until_the_lines_after_the_gap_are_there(service: Service) -> None:
    service.messages = every_second(0, 50)

    def more() -> None:
        if len(service.asked) == 3:
            service.messages = every_second(0, 100)

    service.on_request = more
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert [(start, end) for start, end, _ in told.recovered_] == [(30_000, 48_000), (48_000, 60_000)]
    assert told.absent_ == []


async def test_errors_are_tried_again(service: Service) -> None:
    service.fail = [web.Response(status=500), said([], "x", "channel_not_joined")]
    service.messages = every_second(0, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
        assert filler.metrics.gap_tries_failed_total == 2
    assert told.recovered_ == [(30_000, 60_000, 30)]


async def test_after_its_patience_the_rest_of_the_gap_is_declared_absent(service: Service) -> None:
    service.messages = every_second(0, 50)
    async with filling(service, 0.3) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
        assert filler.metrics.gap_tries_total > 1
    assert [(start, end) for start, end, _ in told.recovered_] == [(30_000, 48_000)]
    assert told.absent_ == [(48_000, 60_000)]


async def test_a_service_that_hangs_costs_no_more_than_the_patience(service: Service) -> None:
    service.never = True
    async with filling(service, 0.2) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert told.absent_ == [(30_000, 60_000)]


async def test_too_many_gaps_are_declared_absent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.collect.live.gap_filler.MAX_WAITING", 2)

    class Never:
        async def fetch(self, channel: str, login: str, from_ms: int, to_ms: int) -> Recovered:
            await asyncio.Event().wait()
            return Recovered(no_events(), 0, 0, 0)

    told = Told()
    filler = GapFiller(Never(), told)
    for number in range(3):
        filler.fill(GAP._replace(from_ms=T0 + number, to_ms=T0 + 100_000 + number))
    assert told.absent_ == [(2, 100_002)]
    assert filler.metrics.gaps_too_many_total == 1
    await filler.close()
    assert filler.in_work == 0
    assert len(told.absent_) == 1, "what is in work is left to the Intake"
