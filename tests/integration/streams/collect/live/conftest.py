"""A scripted chat server, and connections, pools and reconcilers on it; each test on both event loops."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop

from streams.collect.live.connection import Endpoint, Timing
from streams.collect.live.keepalive import Deadlines
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.roster import Roster
from streams.collect.live.tls import client_context
from tests.recording_intake import RecordingIntake
from tests.scripted_history import Service, scripted_history
from tests.scripted_twitch import HOST, PATIENCE_S, Authority, ScriptedTwitch, scripted_twitch

QUICK = Timing(connect_s=5.0, welcome_s=5.0, deadlines=Deadlines(ping_s=0.1, silent_s=0.5, answer_s=0.8))
"""Deadlines of a test: short, but long for a loopback."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # They differ in TLS, in when timers run, and in the errors they raise.
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with scripted_history() as made:
        yield made


@pytest.fixture
async def twitch(authority: Authority) -> AsyncIterator[ScriptedTwitch]:
    async with scripted_twitch(authority) as server:
        yield server


@pytest.fixture
def endpoint(twitch: ScriptedTwitch, authority: Authority) -> Endpoint:
    return Endpoint(HOST, twitch.port, client_context(authority.ca_file))


class Reported:
    """Reports as they come."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self._news = asyncio.Event()

    def report(self, login: str, state: str, reason: str = "", room_id: str | None = None, **more: Any) -> None:
        self.states[login] = state
        self._news.set()

    async def until(self, login: str, state: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.states.get(login) != state:
                self._news.clear()
                await self._news.wait()


class Collecting:
    """A pool and a reconciler that run. Pacing is that of the process unless the test gives another."""

    def __init__(
        self,
        endpoint: Endpoint,
        seed: int,
        *,
        pacing: Pacing | None = None,
        timing: Timing = QUICK,
        channels: int = 90,
        membership: bool = False,
    ) -> None:
        self.intake = RecordingIntake()
        self.metrics = CollectMetrics()
        chance = random.Random(seed)
        self.pool = Pool(
            endpoint,
            self.intake,
            self.metrics,
            timing=timing,
            channels=channels,
            membership=membership,
            chance=chance,
        )
        self.reports = Reported()
        roster = Roster(self.pool, self.intake, self.metrics, reports=self.reports, chance=chance)
        self.reconciler = Reconciler(roster, pacing or Pacing())
        self.pool.attach(self.reconciler)

    def state(self, login: str) -> str:
        return next((one.state for one in self.reconciler.states() if one.login == login), "forgotten")
