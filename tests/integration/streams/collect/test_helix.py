"""Helix over real HTTP: tokens, pages, rate limits, faults; and the credentials that never show."""

import logging
import traceback
from collections.abc import AsyncIterator

import aiohttp
import pytest

from streams.collect.live.app_token import BadCredentials, Credentials, HelixError
from streams.collect.live.helix import ATTEMPTS, MAX_ANSWER_BYTES, Helix
from tests.scripted_helix import CLIENT_ID, CLIENT_SECRET, Clock, Live, ScriptedHelix, served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[ScriptedHelix]:
    async with served(ScriptedHelix(clock.wall_s)) as scripted:
        yield scripted


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
def helix(server: ScriptedHelix, session: aiohttp.ClientSession, clock: Clock) -> Helix:
    return client(server, session, clock)


def client(server: ScriptedHelix, session: aiohttp.ClientSession, clock: Clock, secret: str = CLIENT_SECRET) -> Helix:
    return Helix(
        session,
        Credentials(CLIENT_ID, secret),
        id_url=server.id_url,
        api_url=server.api_url,
        pacing=clock.pacing(),
    )


def asked(server: ScriptedHelix, what: str) -> int:
    return sum(request.startswith(what) for request in server.requests)


async def test_pages_are_read_down_to_the_bound_and_no_further(server: ScriptedHelix, helix: Helix) -> None:
    server.streams = [Live(f"c{number}", 1000 - number, room_id=str(number)) for number in range(500)]
    found = await helix.top(750)
    assert [one.login for one in found] == [f"c{number}" for number in range(251)]
    assert asked(server, "streams") == 3
    assert (found[0].title, found[0].game, found[0].started_at_ms) == ("a title", "Chess", 1_767_225_600_000)
    assert len(await helix.top(0, max_pages=2)) == 200


async def test_ids_are_asked_for_a_hundred_at_a_time_and_who_is_gone_is_left_out(
    server: ScriptedHelix, helix: Helix
) -> None:
    server.users = {str(number): f"c{number}" for number in range(250) if number != 7}
    assert await helix.logins_of([str(number) for number in range(250)]) == {
        str(number): f"c{number}" for number in range(250) if number != 7
    }
    assert asked(server, "users") == 3 and await helix.logins_of([]) == {}


async def test_hostile_answers_about_users_are_passed_over(server: ScriptedHelix, helix: Helix) -> None:
    for body in (b"", b"[]", b'{"data": [{"id": 1}]}', b"\xff" * 100):
        server.faults.append(body)
        with pytest.raises(HelixError, match=r"GET /users: .* lists no users"):
            await helix.logins_of(["1"])
    server.faults.append(b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(HelixError, match="GET /users: an answer over the bound"):
        await helix.logins_of(["1"])
    server.faults.append(b'{"data": [{"id": "2", "login": "stranger"}, {"id": "1", "login": "a b\\r\\nQUIT"}]}')
    assert await helix.logins_of(["1"]) == {}
    assert helix.counters.malformed_users_total == 2
    server.faults.extend([503] * ATTEMPTS)
    with pytest.raises(HelixError, match=f"GET /users failed {ATTEMPTS} times, last with HTTP 503"):
        await helix.logins_of(["1"])


async def test_a_stream_that_moves_between_pages_comes_once(server: ScriptedHelix, helix: Helix) -> None:
    server.streams = [Live(f"c{number}", 1000 - number, room_id=str(number)) for number in range(200)]

    def slip(page: int) -> None:
        server.streams[99].viewers = 850

    server.on_page = slip
    found = await helix.top(0)
    assert [one.login for one in found].count("c99") == 1
    assert len(found) == 199, "the one that slipped onto the page before is missed this time"


async def test_channels_are_asked_for_by_name_a_hundred_at_a_time(server: ScriptedHelix, helix: Helix) -> None:
    server.streams = [Live(f"c{number}", 3, room_id=str(number)) for number in range(0, 250, 2)]
    found = await helix.live_among([f"c{number}" for number in range(250)])
    assert {one.login for one in found} == {f"c{number}" for number in range(0, 250, 2)}
    assert asked(server, "streams") == 3
    assert await helix.live_among([]) == []


async def test_a_refused_token_is_replaced_and_the_question_asked_again(server: ScriptedHelix, helix: Helix) -> None:
    server.streams = [Live("a", 50)]
    assert len(await helix.top(1)) == 1
    server.good_tokens.clear()
    assert len(await helix.top(1)) == 1
    assert (server.issued, helix.counters.tokens_refused_total) == (2, 1)


async def test_a_token_is_renewed_before_it_expires(server: ScriptedHelix, helix: Helix, clock: Clock) -> None:
    server.expires_in_s = 1_000
    await helix.top(1)
    clock.now_s += 699
    await helix.top(1)
    assert server.issued == 1
    clock.now_s += 2
    await helix.top(1)
    assert (server.issued, helix.counters.tokens_refused_total) == (2, 0)


async def test_a_token_is_validated_every_hour(server: ScriptedHelix, helix: Helix, clock: Clock) -> None:
    await helix.top(1)
    clock.now_s += 3_599
    await helix.top(1)
    assert asked(server, "validate") == 0
    clock.now_s += 2
    await helix.top(1)
    await helix.top(1)
    assert (asked(server, "validate"), server.issued) == (1, 1)
    server.good_tokens.clear()
    clock.now_s += 3_601
    await helix.top(1)
    assert (asked(server, "validate"), server.issued, helix.counters.tokens_refused_total) == (2, 2, 0)


async def test_a_nearly_empty_bucket_is_waited_for(server: ScriptedHelix, helix: Helix, clock: Clock) -> None:
    server.reset_s, server.points = clock.now_s + 45, 12
    await helix.top(1)  # leaves 11
    await helix.top(1)  # leaves 10
    assert clock.slept == []
    await helix.top(1)
    assert clock.slept == [45.0]
    assert (helix.counters.waits_for_rate_total, helix.counters.rate_limited_total) == (1, 0)


async def test_an_empty_bucket_is_backed_off_from_until_its_reset(
    server: ScriptedHelix, helix: Helix, clock: Clock
) -> None:
    server.reset_s, server.points, server.streams = clock.now_s + 30, 0, [Live("a", 50)]
    began_s = clock.now_s
    assert len(await helix.top(1)) == 1
    assert helix.counters.rate_limited_total == 1
    assert 30 <= clock.now_s - began_s <= 31
    assert asked(server, "streams") == 2


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_server_faults_are_outlived_with_growing_jittered_pauses(
    server: ScriptedHelix, helix: Helix, clock: Clock, status: int
) -> None:
    server.faults.extend([status] * (ATTEMPTS - 1))
    server.streams = [Live("a", 50)]
    assert len(await helix.top(1)) == 1
    assert [2**n / 2 <= pause <= 2**n for n, pause in enumerate(clock.slept)] == [True] * (ATTEMPTS - 1)
    server.faults.extend([status] * ATTEMPTS)
    with pytest.raises(HelixError, match=f"{ATTEMPTS} times, last with HTTP {status}"):
        await helix.top(1)
    assert not server.faults


async def test_a_refused_question_is_not_asked_again(server: ScriptedHelix, helix: Helix) -> None:
    server.faults.append(400)
    with pytest.raises(HelixError, match="HTTP 400"):
        await helix.top(1)
    assert asked(server, "streams") == 1


async def test_hostile_answers_are_bounded_and_passed_over(server: ScriptedHelix, helix: Helix) -> None:
    for body in (b"", b"[]", b'{"data": [{"user_id": 1}]}', b"\xff" * 100):
        server.faults.append(body)
        with pytest.raises(HelixError, match="lists no streams"):
            await helix.top(1)
    server.faults.append(b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(HelixError, match="over the bound"):
        await helix.top(1)
    server.streams = [
        Live("good", 50, title="t" * 9999 + "\0"),
        Live("a|b", 60, room_id="1"),
        Live("late", 70, started_at="yesterday"),
        Live("odd", 80, room_id="12; drop"),
    ]
    [good] = await helix.top(1)
    assert (good.login, len(good.title)) == ("good", 500)
    assert helix.counters.malformed_streams_total == 3


async def test_nobody_listening_is_an_error_that_says_so(
    session: aiohttp.ClientSession, clock: Clock, server: ScriptedHelix, helix: Helix
) -> None:
    await helix.top(1)
    helix._url = "http://127.0.0.1:1"
    with pytest.raises(HelixError, match="ClientConnectorError"):
        await helix.top(1)


async def test_credentials_show_nowhere(
    server: ScriptedHelix,
    session: aiohttp.ClientSession,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "wr0ng-secret"
    shown: list[str] = []

    async def caught(helix: Helix, **faults: object) -> None:
        try:
            await helix.top(1)
        except HelixError as error:
            shown.append("".join(traceback.format_exception(error)))
        shown.append(f"{helix!r} {helix.token!r} {helix.__dict__} {helix.token.__dict__['_credentials']}")

    with pytest.raises(BadCredentials) as refused:
        await client(server, session, clock, wrong).top(1)
    shown.append("".join(traceback.format_exception(refused.value)))
    server.token_faults.append(500)
    await caught(client(server, session, clock))
    working = client(server, session, clock)
    server.faults.extend([401, 500, 500, 500, 500])
    await caught(working)
    away = client(server, session, clock)
    away.token._url = "http://127.0.0.1:1/oauth2"
    await caught(away)
    text = "\n".join(shown) + caplog.text
    assert len(shown) == 7 and CLIENT_ID in text
    for secret in (wrong, CLIENT_SECRET, "t0ps3cret"):
        assert secret not in text
