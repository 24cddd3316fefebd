"""Pool and reconciler on a scripted server: channels spread, rejoined, moved, parked; nothing stalls the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from streams.collect.live.connection import Endpoint
from streams.collect.live.membership import RETRY_S
from streams.collect.live.notices import Refusal
from streams.collect.live.pacing import Pacing
from streams.collect.live.roster import MAX_PARTING
from tests.integration.streams.collect.live.conftest import Collecting
from tests.scripted_twitch import ScriptedTwitch, Session

FREE = 10_000
"""JOINs a window, where a test is not about pacing."""


@asynccontextmanager
async def running(one: Collecting) -> AsyncIterator[Collecting]:
    task = asyncio.create_task(one.reconciler.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await one.pool.close()
        if one.pool.failed.done():
            one.pool.failed.result()
    # Whatever was observed was also said to be lost.
    assert one.intake.observed() == set()


Collect = Callable[..., Collecting]


@pytest.fixture
def collect(endpoint: Endpoint, seed: int) -> Collect:
    return lambda **options: Collecting(endpoint, seed, **{"pacing": Pacing(FREE), **options})


def names(count: int, start: str = "ch") -> frozenset[str]:
    return frozenset(f"{start}{number}" for number in range(count))


async def all_observed(one: Collecting, logins: frozenset[str]) -> None:
    await one.intake.until(lambda intake: {login for login, _ in intake.observed()} >= logins)


async def test_channels_are_confirmed_with_their_room_id(collect: Collect, twitch: ScriptedTwitch) -> None:
    twitch.rooms["ember"] = 4242
    async with running(collect()) as one:
        one.reconciler.want(frozenset({"ember"}))
        await one.intake.until(lambda intake: any(told.room_id == "4242" for told in intake.told))
        session = await twitch.session(0)
        session.chat("ember", "hello")
        await one.intake.until(lambda intake: bool(intake.of("chat")))
        state = one.reconciler.states()[0]
        assert (state.state, state.room_id, state.connection) == ("joined", "4242", 1)


async def test_two_hundred_channels_take_three_connections_of_at_most_ninety(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    async with running(collect()) as one:
        one.reconciler.want(names(200))
        await all_observed(one, names(200))
        loads = [len(session.joined) for session in twitch.sessions]
        assert len(loads) == 3 and sum(loads) == 200 and max(loads) <= 90


async def test_joins_of_the_process_keep_to_the_pacing_over_all_connections(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    """Pacing of 20 in half a second, on connections of 10: no half second at the server sees more."""
    times_s: list[float] = []

    def stamped(session: Session, login: str) -> list[bytes]:
        times_s.append(asyncio.get_running_loop().time())
        return twitch.confirmed(session, login)

    twitch.join_answer = stamped
    async with running(collect(pacing=Pacing(20, 0.5), channels=10)) as one:
        one.reconciler.want(names(70))
        await all_observed(one, names(70))
    assert len(twitch.sessions) == 7
    # The server reads up to some milliseconds after the client wrote: a tenth for that.
    assert all(late - early > 0.4 for early, late in zip(times_s, times_s[20:], strict=False))
    assert times_s[-1] - times_s[0] < 10


async def test_ninety_channels_are_joined_soon_after_the_pacings_own_minimum(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    """The bound is 13 s beyond four windows of 12.5 s; here a window is half a second, and what is beyond is not."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with running(collect(pacing=Pacing(18, 0.5))) as one:
        one.reconciler.want(names(90))
        await all_observed(one, names(90))
        assert loop.time() - began_s < 4 * 0.5 + 3
    assert len(twitch.sessions) == 1


async def test_an_unwanted_channel_is_parted_and_lost(collect: Collect, twitch: ScriptedTwitch) -> None:
    async with running(collect()) as one:
        one.reconciler.want(names(2))
        await all_observed(one, names(2))
        one.reconciler.want(frozenset({"ch1"}))
        session = await twitch.session(0)
        await session.until_received(b"PART #ch0")
        assert {login for login, _ in one.intake.observed()} == {"ch1"}


async def test_a_cut_connection_is_replaced_and_its_channels_are_joined_again(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    async with running(collect(channels=5)) as one:
        one.reconciler.want(names(10))
        await all_observed(one, names(10))
        session = await twitch.session(1)
        there = frozenset(session.joined)
        told = len(one.intake.told)
        session.cut()
        await one.intake.until(lambda intake: sum(each.what == "lost" for each in intake.told[told:]) == len(there))
        await all_observed(one, names(10))
        lost = {each.login for each in one.intake.told[told:] if each.what == "lost"}
        assert lost == there  # the other connection's went on
        assert one.metrics.channels_lost_total == len(there)


async def test_reconnect_moves_every_channel_before_the_old_connection_is_left(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    async with running(collect()) as one:
        one.reconciler.want(names(30))
        await all_observed(one, names(30))
        first = await twitch.session(0)
        first.say(b":tmi.twitch.tv RECONNECT")
        await first.until(lambda session: session.ended)
        lost = [told for told in one.intake.told if told.what == "lost"]
        assert {told.connection for told in lost} == {1} and len(lost) == 30
        for login in names(30):
            mine = [(told.what, told.connection) for told in one.intake.told if told.login == login]
            assert mine.index(("observing", 2)) < mine.index(("lost", 1))
        assert one.metrics.moves_total == 30 and one.metrics.channels_lost_total == 0
        assert b"QUIT" in first.received


async def test_a_server_that_says_reconnect_and_cuts_at_once_loses_no_channel_for_good(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    async with running(collect()) as one:
        one.reconciler.want(names(10))
        await all_observed(one, names(10))
        first = await twitch.session(0)
        first.say(b":tmi.twitch.tv RECONNECT")
        await first.writer.drain()
        first.half_close()
        await twitch.session(1)
        await one.intake.until(lambda intake: intake.observed() == {(login, 2) for login in names(10)})


async def test_dead_channels_hold_no_other_up(collect: Collect, twitch: ScriptedTwitch) -> None:
    """300 channels that never answer, then one good one: it does not wait behind them."""
    twitch.join_answer = lambda session, login: [] if login.startswith("dead") else twitch.confirmed(session, login)
    async with running(collect(pacing=Pacing(18, 0.5))) as one:
        dead = names(300, "dead")
        one.reconciler.want(dead)
        session = await twitch.session(0)
        await session.until_received(b"JOIN", 18)
        one.reconciler.want(dead | {"good"})
        await all_observed(one, frozenset({"good"}))
        joins = [line for each in twitch.sessions for line in each.received if line.startswith(b"JOIN")]
        assert joins.index(b"JOIN #good") <= 40


@pytest.mark.parametrize(
    ("notice", "reason"),
    [
        (b"@msg-id=msg_channel_suspended :tmi.twitch.tv NOTICE #ch0 :gone", "suspended"),
        (b"@msg-id=msg_banned :tmi.twitch.tv NOTICE #ch0 :no", "banned there"),
        (b"@msg-id=msg_room_not_found :tmi.twitch.tv NOTICE #ch0 :no", "does not exist"),
        (b":irc.test 403 somebody #ch0 :No such channel", "does not exist"),
    ],
)
async def test_a_refused_channel_is_parked_with_its_reason(
    collect: Collect, twitch: ScriptedTwitch, notice: bytes, reason: str
) -> None:
    twitch.join_answer = lambda session, login: [notice] if login == "ch0" else twitch.confirmed(session, login)
    async with running(collect()) as one:
        one.reconciler.want(names(3))
        await all_observed(one, frozenset({"ch1", "ch2"}))
        await one.reports.until("ch0", "parked")
        state = next(state for state in one.reconciler.states() if state.login == "ch0")
        assert state.reason == reason and state.retry_at_ms is not None
        assert "again in" in state.tried[-1].outcome


async def test_a_channel_suspended_while_heard_is_lost_and_parked(collect: Collect, twitch: ScriptedTwitch) -> None:
    async with running(collect()) as one:
        one.reconciler.want(names(2))
        await all_observed(one, names(2))
        session = await twitch.session(0)
        session.say(b"@msg-id=msg_channel_suspended :tmi.twitch.tv NOTICE #ch1 :gone")
        await one.intake.until(lambda intake: {login for login, _ in intake.observed()} == {"ch0"})
        assert one.state("ch1") == "parked"


async def test_a_connection_that_is_refused_is_tried_again_with_growing_pauses(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    twitch.welcome = False
    async with running(collect()) as one:
        one.reconciler.want(names(1))
        for number in range(3):
            session = await twitch.session(number)
            await session.until_received(b"NICK")
            session.cut()
        assert one.metrics.connect_failures_total.total() >= 2
        twitch.welcome = True
        await all_observed(one, names(1))


async def test_one_dead_connection_stalls_no_other(collect: Collect, twitch: ScriptedTwitch) -> None:
    """The first connection goes half-open; channels wanted afterwards are heard on another at once."""
    async with running(collect(channels=5)) as one:
        one.reconciler.want(names(5))
        await all_observed(one, names(5))
        (await twitch.session(0)).mute = True
        one.reconciler.want(names(8))
        await all_observed(one, names(8))
        assert {number for _, number in one.intake.observed()} - {1}
        await one.intake.until(lambda intake: all(number != 1 for _, number in intake.observed()))
        await all_observed(one, names(8))
        assert one.metrics.connections_ended_total["silent"] == 1


async def test_a_connection_that_answers_pings_and_no_joins_is_left(
    collect: Collect, twitch: ScriptedTwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is always the emptiest, so it is given every JOIN; the others have room."""
    monkeypatch.setattr("streams.collect.live.reconciler.JOIN_ANSWER_S", 0.3)
    monkeypatch.setitem(RETRY_S, Refusal.NO_ANSWER, (0.1, 1_800))
    twitch.join_answer = lambda session, login: [] if session.number == 1 else twitch.confirmed(session, login)
    async with running(collect(channels=10)) as one:
        one.reconciler.want(names(10))
        await all_observed(one, names(10))
        one.reconciler.want(names(30))
        await all_observed(one, names(30))
        deaf = await twitch.session(1)
        await deaf.until(lambda session: session.ended)
        assert b"QUIT" in deaf.received and any(line.startswith(b"PING") for line in deaf.received)
        assert len({number for _, number in one.intake.observed()}) == 3
        assert one.metrics.deaf_connections_total == 1 and one.metrics.moves_total == 0


async def test_a_server_that_confirms_channels_without_end_is_left(collect: Collect, twitch: ScriptedTwitch) -> None:
    """Each is answered by a PART that is remembered until its echo: that has its bound."""
    async with running(collect()) as one:
        one.reconciler.want(names(1))
        await all_observed(one, names(1))
        first = await twitch.session(0)
        for number in range(MAX_PARTING + 1):
            first.say(b"@room-id=%d :tmi.twitch.tv ROOMSTATE #stranger%d" % (10_000 + number, number))
        await first.until(lambda session: session.ended)
        await (await twitch.session(1)).until(lambda session: "ch0" in session.joined)
        assert one.metrics.connections_ended_total["channels forced on us"] == 1
        assert one.metrics.parts_total == MAX_PARTING


async def test_empty_connections_end(collect: Collect, twitch: ScriptedTwitch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.collect.live.pool.EMPTY_S", 0.1)
    async with running(collect(channels=5)) as one:
        one.reconciler.want(names(10))
        await all_observed(one, names(10))
        one.reconciler.want(frozenset((await twitch.session(0)).joined))
        await (await twitch.session(1)).until(lambda session: session.ended)
        assert b"QUIT" in twitch.sessions[1].received
        assert len(one.intake.observed()) == 5


async def test_a_server_without_capabilities_confirms_by_the_echo_of_join(
    collect: Collect, twitch: ScriptedTwitch
) -> None:
    twitch.caps = "NAK"
    twitch.join_answer = lambda session, login: twitch.confirmed(session, login)[:1]
    async with running(collect()) as one:
        one.reconciler.want(names(1))
        await all_observed(one, names(1))
        assert [told.room_id for told in one.intake.of("observing")] == [None]
