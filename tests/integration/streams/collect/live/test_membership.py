"""With the membership capability a collector hears who comes and goes, on the local Twitch: counted, and no more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streams.collect.live.connection import Endpoint
from streams.collect.live.tls import client_context
from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import Pace, SimOptions, SimulatedFeed, TwitchSim
from streams.collect.twitch_sim.block import Block
from tests.integration.streams.collect.live.conftest import Collecting
from tests.irc_client import IrcClient
from tests.scripted_twitch import PATIENCE_S


class Silent:
    """Rooms in which nobody says anything."""

    def __init__(self) -> None:
        self.rooms = SimulatedFeed(Simulation(1, 3, 10), 1_767_225_600_000).rooms

    def blocks(self) -> Iterator[Block]:
        return iter(())


@pytest.fixture
async def local() -> AsyncIterator[TwitchSim]:
    async with TwitchSim(Silent(), SimOptions(pace=Pace(0))) as twitch:
        yield twitch


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - counters do not tell
            await asyncio.sleep(0.01)


async def joined(
    local: TwitchSim, folder: Path, seed: int, *, membership: bool
) -> tuple[Collecting, asyncio.Task[None]]:
    """A collector that hears ember and pixel."""
    ca = folder / "ca.pem"
    ca.write_bytes(local.ca_pem)
    host, port = local.address
    one = Collecting(Endpoint(host, port, client_context(ca)), seed, membership=membership)
    running = asyncio.create_task(one.reconciler.run())
    one.reconciler.want(frozenset({"ember", "pixel"}))
    await one.intake.until(lambda intake: {told.login for told in intake.told if told.room_id} == {"ember", "pixel"})
    return one, running


async def ended(one: Collecting, running: "asyncio.Task[None]") -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await one.pool.close()


async def test_others_are_counted_and_never_taken_for_us(local: TwitchSim, tmp_path: Path, seed: int) -> None:
    local.misbehave.crowd("pixel", viewers=50, for_s=0.3)
    one, running = await joined(local, tmp_path, seed, membership=True)
    (session,) = local.sessions
    assert session.membership
    metrics, told, states = one.metrics, list(one.intake.told), one.reconciler.states()
    await until(lambda: metrics.members_parted_total >= 50)
    assert metrics.members_listed_total in (0, 50), "as the crowd was there before our JOIN, or was gone"
    local.misbehave.crowd("ember", viewers=300, for_s=0.1)
    before = metrics.members_joined_total
    other = await IrcClient.connect(local.address, local.ca_pem)
    await other.login(f"{session.nick}1")  # ours is the beginning of theirs
    await other.join("ember")
    other.send("PART #ember")
    await until(lambda: metrics.members_parted_total >= 351)
    assert metrics.members_joined_total - before == 301
    assert one.intake.told == told and one.reconciler.states() == states
    assert not metrics.refusals_total and metrics.parts_total == 0
    # And our own are ours still.
    one.reconciler.want(frozenset({"ember"}))
    await until(lambda: [state.login for state in one.reconciler.states()] == ["ember"])
    local.misbehave.netsplit(["ember"], for_s=0.0)
    await until(lambda: metrics.refusals_total["put out by the server"] == 1)
    other.close()
    await ended(one, running)


async def test_without_it_the_server_says_nothing_of_others(local: TwitchSim, tmp_path: Path, seed: int) -> None:
    one, running = await joined(local, tmp_path, seed, membership=False)
    lines = one.metrics.control_lines_total
    local.misbehave.crowd("ember", viewers=300, for_s=0.05)
    pongs = one.metrics.pongs_total
    await until(lambda: one.metrics.pongs_total >= pongs + 3)  # PINGs of 0.1 s: the crowd has come and gone
    metrics = one.metrics
    assert metrics.members_joined_total == metrics.members_parted_total == metrics.members_listed_total == 0
    assert metrics.control_lines_total - lines < 30
    await ended(one, running)
