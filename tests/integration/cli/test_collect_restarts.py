"""`twzrd collect` killed, started again, and its channels renamed, on the local Twitch and a scripted Helix: what a
process knew must be known to the next one."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.envelope import Envelope, decode
from streams.collect.live.pacing import JOINS
from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import SimOptions, SimulatedFeed, TwitchSim
from streams.collect.twitch_sim.rooms import JOIN_LIMIT
from streams.log.port import CHAT_EVENTS
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_collect import process
from tests.scripted_helix import CLIENT_ID, CLIENT_SECRET, ScriptedHelix, served

pytestmark = pytest.mark.postgres

PATIENCE_S = 60.0
PARTITIONS = 2


class Place(NamedTuple):
    """A local Twitch whose first channel is `login`, a Helix, and how the collector is told of them."""

    twitch: TwitchSim
    helix: ScriptedHelix
    login: str
    identity: str
    home: Path
    arguments: tuple[object, ...]
    environment: dict[str, str]

    def renamed(self, login: str, to: str) -> int:
        """Rename the channel; when that was, ms."""
        self.twitch.misbehave.rename(login, to)
        self.helix.users[self.identity.rpartition(":")[2]] = to
        return time.time_ns() // 1_000_000

    @asynccontextmanager
    async def collector(self, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
        async with process(self.home, "collect", *self.arguments, *arguments, **self.environment) as one:
            output = asyncio.create_task(one.communicate())  # so that no pipe fills
            try:
                yield one
            finally:
                if one.returncode is None:
                    one.kill()
                await output


@asynccontextmanager
async def place(tmp_path: Path, dsn: str, channels: int = 2, **options: Any) -> AsyncIterator[Place]:
    simulation = Simulation(1, channels, 40)
    identity, login = simulation.channel(0)
    feed = SimulatedFeed(simulation, time.time_ns() // 1_000_000)
    async with served(ScriptedHelix(time.time)) as helix, TwitchSim(feed, SimOptions(**options)) as twitch:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(twitch.ca_pem)
        helix.users[identity.rpartition(":")[2]] = login
        environment = {
            "TWZRD_DATABASE_URL": dsn,
            "TWZRD_PARTITIONS": str(PARTITIONS),
            "TWZRD_COLLECTOR_NAME": "host-1",
            "TWZRD_TWITCH_CLIENT_ID": CLIENT_ID,
            "TWZRD_TWITCH_CLIENT_SECRET": CLIENT_SECRET,
            "TWZRD_TWITCH_ID_URL": helix.id_url,
            "TWZRD_TWITCH_API_URL": helix.api_url,
        }
        where = ("--server", f"{twitch.address[0]}:{twitch.address[1]}", "--ca", ca)
        yield Place(twitch, helix, login, identity, tmp_path / "home", where, environment)


class Events:
    """What the log holds of chat, read on as it comes. ids, live: by (identity, login)."""

    def __init__(self, log: PostgresLog) -> None:
        self.ids: dict[tuple[str, str], set[bytes]] = defaultdict(set)
        self.live: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self._log = log
        self._next = [0] * PARTITIONS

    async def until(self, identity: str, login: str, more: int = 20) -> None:
        """Wait until so many more events of that channel are there under that login, and time is claimed."""
        of = identity, login
        wanted, claims = len(self.ids[of]) + more, len(self.live[of])
        async with asyncio.timeout(PATIENCE_S):
            while len(self.ids[of]) < wanted or len(self.live[of]) == claims:
                for partition, start in enumerate(self._next):
                    for record in await self._log.read(CHAT_EVENTS, partition, start, wait_ms=100):
                        self._next[partition] = record.offset + 1
                        self._take(record.key, decode(record.value))

    def _take(self, key: bytes, envelope: Envelope) -> None:
        assert key.decode() == envelope.channel
        of = envelope.channel, envelope.login
        self.ids[of].update(envelope.ids[at : at + 16] for at in range(0, len(envelope.ids), 16))
        if envelope.observed is not None and envelope.observed[2] == "live":
            self.live[of].append(envelope.observed[:2])


@pytest.fixture
async def events(pg_dsn: str) -> AsyncIterator[Events]:
    log = PostgresLog(pg_dsn, partitions=PARTITIONS)
    await log.open()
    yield Events(log)
    await log.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the local Twitch's counts do not tell
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("notices", [True, False], ids=["notice", "silence"])
async def test_a_rename_is_followed_under_one_identity_and_the_next_process_follows_another(
    tmp_path: Path, pg_dsn: str, events: Events, twzrd: Twzrd, notices: bool
) -> None:
    async with place(tmp_path, pg_dsn, unknown_notice=notices) as at:
        login, identity = at.login, at.identity
        told = {name: at.environment[name] for name in ("TWZRD_DATABASE_URL", "TWZRD_PARTITIONS")}

        async def run(*arguments: str) -> Any:
            return (await asyncio.to_thread(twzrd, *arguments, **told)).out

        await run("channels", "add", login)
        async with at.collector() as one:
            await events.until(identity, login)
            assert not any(asked.startswith("users") for asked in at.helix.requests), "nothing is wrong yet"
            moments_ms = [at.renamed(login, "phoenix")]
            await events.until(identity, "phoenix")
            await until(lambda: at.twitch.sessions[0].logins() == ["phoenix"])
            assert "renamed to phoenix on 20" in await run("channels", "why", login)
            [listed] = map(json.loads, (await run("channels", "list", "--json")).splitlines())
            assert listed["wanted"] and listed["note"].startswith("renamed to phoenix on 20")
            assert (listed["renamed_to"], listed["state"]) == ("phoenix", "joined")
            assert f"wanted as {login} by operator" in await run("channels", "why", "phoenix")
            one.kill()
            await one.wait()
        # Nobody is there when it is renamed again: the next process knows the room id from the log alone.
        moments_ms.append(at.renamed("phoenix", "ash"))
        for file in (at.home / "collect").glob("*.json"):
            file.unlink()
        async with at.collector():
            await events.until(identity, "ash")
            # Whatever the wish names, it can be taken back by the login that the channel bears.
            assert "removed" in await run("channels", "remove", "ash")
            await until(lambda: not any(session.logins() for session in at.twitch.sessions))
        assert {of for of, _ in events.ids} == {identity}, "one channel identity under three logins"
        assert not set.intersection(*events.ids.values())
        # What is claimed leaves the time out in which nobody was there; a claim begins 0.5 s after the JOIN.
        for moment_ms in moments_ms:
            assert not [one for one in chain(*events.live.values()) if one[0] <= moment_ms + 250 < one[1]]


async def test_a_list_of_the_command_line_follows_too_and_without_credentials_why_says_what_to_do(
    tmp_path: Path, pg_dsn: str, events: Events, twzrd: Twzrd
) -> None:
    async with place(tmp_path, pg_dsn, unknown_notice=True) as at:
        told = {name: at.environment[name] for name in ("TWZRD_DATABASE_URL", "TWZRD_PARTITIONS")}
        without = {name: value for name, value in at.environment.items() if "TWITCH_CLIENT" not in name}
        async with at._replace(environment=without).collector("--channels", at.login):
            await events.until(at.identity, at.login)
            at.renamed(at.login, "phoenix")
            async with asyncio.timeout(PATIENCE_S):
                while "without Twitch credentials" not in (
                    said := (await asyncio.to_thread(twzrd, "channels", "why", at.login, **told)).out
                ):
                    pass
            assert "twzrd channels add NEWLOGIN" in said
            assert not any(asked.startswith("users") for asked in at.helix.requests)
        async with at.collector("--channels", at.login):
            await events.until(at.identity, "phoenix")
        # And once more: a start knows the rename from the log, and asks nobody.
        asked = len(at.helix.requests)
        async with at.collector("--channels", at.login):
            await events.until(at.identity, "phoenix")
        assert len(at.helix.requests) == asked


async def test_a_collector_that_is_killed_and_started_again_keeps_to_twitchs_limit_of_joins(
    tmp_path: Path, pg_dsn: str
) -> None:
    """Watched by the server: at most 20 JOINs in any 10 s, over two processes."""
    async with place(tmp_path, pg_dsn, channels=3 * JOINS) as at:
        counts, logins = at.twitch.counts, ",".join(login for login, _ in at.twitch._stage._feed.rooms)
        for starts in (1, 2):
            async with at.collector("--channels", logins) as one:
                await until(lambda: counts["joins"] >= starts * JOINS)  # noqa: B023
                one.kill()
                await one.wait()
        assert counts["joins_over_limit"] == 0
        assert 0 < counts["joins_most_in_10_s"] <= JOIN_LIMIT
        assert counts["logins"] == 2


async def test_membership_is_asked_for_where_the_setting_says_so(tmp_path: Path, pg_dsn: str, events: Events) -> None:
    async with place(tmp_path, pg_dsn) as at:
        for setting, asked in (("", False), ("on", True)):
            environment = {**at.environment, "TWZRD_CHAT_MEMBERSHIP": setting}
            async with at._replace(environment=environment).collector("--channels", at.login):
                await until(lambda: any(session.joined.any() for session in at.twitch.sessions))
                assert [session.membership for session in at.twitch.sessions] == [asked]
                at.twitch.misbehave.crowd(at.login, viewers=100, for_s=0.0)
                await events.until(at.identity, at.login)
            await until(lambda: not at.twitch.sessions)
    assert {of for of, _ in events.ids} == {at.identity}
