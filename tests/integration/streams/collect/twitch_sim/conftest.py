"""A local Twitch of its own for each test, with chat that comes when the test says so."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import Pace, SimOptions, SimulatedFeed, TwitchSim
from streams.collect.twitch_sim.block import Block
from streams.collect.twitch_sim.feed import Feed
from tests.irc_client import IrcClient

START_MS = 1_767_225_600_000


class OnCommand:
    """A feed that says nothing by itself; the test takes blocks from it and says them."""

    def __init__(self, feed: Feed) -> None:
        self.rooms = feed.rooms
        self._blocks = feed.blocks()

    def blocks(self) -> Iterator[Block]:
        return iter(())

    def next(self) -> Block:
        """The next in which nobody is silent: messages in each of the first three channels."""
        return next(
            one for one in self._blocks if {0, 1, 2} <= set(one.channel[one.privmsg & (one.kind == 0)].tolist())
        )


class Local:
    """The server, its address, and clients that are closed with it."""

    def __init__(self, twitch: TwitchSim, feed: OnCommand) -> None:
        self.twitch = twitch
        self.feed = feed
        self.clients: list[IrcClient] = []

    async def client(self, *logins: str, nick: str = "justinfan1", **login: Any) -> IrcClient:
        """Logged in and in those channels."""
        client = await self.connect()
        await client.login(nick, **login)
        if logins:
            await client.join(*logins)
        return client

    async def connect(self) -> IrcClient:
        client = await IrcClient.connect(self.twitch.address, self.twitch.ca_pem)
        self.clients.append(client)
        return client

    def say(self, rows: int | None = None) -> list[bytes]:
        """The next chat of the feed; the lines as they are said."""
        block = self.feed.next()
        end = len(block) if rows is None else min(rows, len(block))
        self.twitch._stage.say(block, 0, end)
        return [block.line(row).removesuffix(b"\r\n") for row in range(end)]


def of_channels(lines: list[bytes], *logins: str) -> list[bytes]:
    return [line for line in lines if any(b" #%b" % login.encode() in line + b" " for login in logins)]


@asynccontextmanager
async def local_twitch(seed: int, channels: int = 4, **options: Any) -> AsyncIterator[Local]:
    feed = OnCommand(SimulatedFeed(Simulation(seed, channels, 20), START_MS))
    async with TwitchSim(feed, SimOptions(seed=seed, pace=Pace(0), **options)) as twitch:
        local = Local(twitch, feed)
        try:
            yield local
        finally:
            for client in local.clients:
                client.close()


@pytest.fixture
async def local(seed: int) -> AsyncIterator[Local]:
    async with local_twitch(seed % 2**62) as made:
        yield made


def ids_of(table: np.ndarray[Any, Any]) -> list[bytes]:
    return [one.tobytes() for one in table["id"]]
