"""The discovery end to end: what Helix answers becomes wishes on the control stream, snapshots every five minutes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import pytest

from schemas import control
from streams.collect.live.app_token import BadCredentials, Credentials, HelixError
from streams.collect.live.control import ControlView, say
from streams.collect.live.discovery import Discovery
from streams.collect.live.helix import Helix
from streams.collect.live.selection import SelectionBounds
from streams.log.port import CONTROL, LogError
from tests.memory_log import MemoryLog
from tests.scripted_helix import CLIENT_ID, CLIENT_SECRET, Clock, Live, ScriptedHelix, served

T = 1_767_225_600_000


@dataclass
class World:
    """One discovery over a log in memory, with its view kept up."""

    log: MemoryLog
    server: ScriptedHelix
    clock: Clock
    view: ControlView
    discovery: Discovery

    async def round(self) -> frozenset[str]:
        """A round; what is wanted then."""
        await self.discovery.round()
        self.clock.now_s += 60
        await self.caught_up()
        return self.view.sets.wanted()

    async def caught_up(self) -> None:
        end = len(self.log.records(CONTROL))
        async with asyncio.timeout(10):
            while self.view.sets.counters.records_total < end:
                await self.view._news.wait()

    async def say(self, *records: control.Record) -> None:
        await say(self.log, *records)
        await self.caught_up()

    def said(self, kind: type[control.Record]) -> list[control.Record]:
        records = [control.decode(record.value) for record in self.log.records(CONTROL)]
        return [record for record in records if isinstance(record, kind)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock, log = Clock(), MemoryLog()
    clock.now_s += 3600
    view = ControlView(log)
    async with served(ScriptedHelix(clock.wall_s)) as server, aiohttp.ClientSession() as session:
        helix = Helix(
            session,
            Credentials(CLIENT_ID, CLIENT_SECRET),
            id_url=server.id_url,
            api_url=server.api_url,
            pacing=clock.pacing(),
        )
        following = asyncio.create_task(view.follow())
        await view.ready()
        yield World(log, server, clock, view, Discovery(log, helix, view, SelectionBounds(channels=3), clock.pacing()))
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_live_channels_become_wishes_and_go_when_they_are_gone(world: World) -> None:
    world.server.streams = [Live("a", 100, "1"), Live("b", 50, "2"), Live("c", 24, "3")]
    assert await world.round() == set()
    assert await world.round() == {"a", "b"}
    first = world.said(control.Wanted)[0]
    assert isinstance(first, control.Wanted)
    assert (first.origin, first.room_id, first.note) == ("discovery", "1", "100 viewers")
    del world.server.streams[0]
    assert [await world.round() for _ in range(3)] == [{"a", "b"}, {"a", "b"}, {"b"}]
    for _ in range(5):
        assert await world.round() == {"b"}
    assert len(world.said(control.Wanted)) + len(world.said(control.Unwanted)) == 3, "nothing is said twice"


async def test_a_restart_forgets_nothing_that_was_picked(world: World) -> None:
    await world.say(control.Wanted(1, "a", "1", "discovery", "discovery", T, ""))
    world.server.streams = [Live("a", 20, "1")]
    for _ in range(5):
        assert await world.round() == {"a"}


async def test_the_operators_word_goes_before_the_discoverys(world: World) -> None:
    world.server.streams = [Live("a", 100, "1"), Live("b", 50, "2")]
    await world.say(
        control.Ruled(1, "a", "deny", "ann", T, ""), control.Wanted(1, "quiet", None, "operator", "ann", T, "")
    )
    for _ in range(3):
        await world.round()
    assert world.view.sets.wanted() == {"b", "quiet"}
    await world.say(control.Ruled(1, "b", "deny", "ann", T, ""))
    assert world.view.sets.wanted() == {"quiet"}, "at once, before the next round"
    await world.say(control.Ruled(1, "quiet", "allow", "ann", T, ""), control.Ruled(1, "a", "none", "ann", T, ""))
    for _ in range(3):
        await world.round()
    assert world.view.sets.wanted() == {"quiet"}, "with an allow list nobody else is picked"


async def test_while_helix_is_away_nothing_changes(world: World) -> None:
    world.server.streams = [Live("a", 100, "1")]
    for _ in range(2):
        await world.round()
    world.server.faults.extend([503] * 50)
    for _ in range(10):
        with pytest.raises(HelixError):
            await world.round()
    world.server.faults.clear()
    assert await world.round() == {"a"}
    assert len(world.said(control.Unwanted)) == 0


async def test_a_round_whose_result_did_not_reach_the_log_is_made_up_for(world: World) -> None:
    world.server.streams = [Live("a", 100, "1")]
    await world.round()
    world.log.fail.add("append")
    with pytest.raises(LogError):
        await world.round()
    world.log.fail.clear()
    assert await world.round() == {"a"}


async def test_every_five_minutes_wanted_live_channels_are_snapshot(world: World) -> None:
    world.server.streams = [
        Live("a", 100, "1", title="\x1b[31mtitle", game="Chess"),
        Live("mine", 3, "2"),
        Live("x", 9, "3"),
    ]
    await world.say(control.Wanted(1, "mine", None, "operator", "ann", T, ""))
    for _ in range(12):
        await world.round()
    found = [one for one in world.said(control.Snapshot) if isinstance(one, control.Snapshot)]
    assert {one.login for one in found} == {"a", "mine"}
    mine = [one for one in found if one.login == "mine"]
    assert [later.at_ms - one.at_ms for one, later in pairwise(mine)] == [300_000, 300_000]
    last = [one for one in found if one.login == "a"][-1]
    assert (last.channel, last.viewers, last.title, last.game) == ("twitch:id:1", 100, "\x1b[31mtitle", "Chess")
    assert last.started_at_ms == T


async def test_wrong_credentials_end_a_discovery_that_never_worked(world: World) -> None:
    world.discovery._helix.token._credentials = Credentials(CLIENT_ID, "wrong")
    with pytest.raises(BadCredentials, match="console"):
        await world.discovery.run(asyncio.Event())
