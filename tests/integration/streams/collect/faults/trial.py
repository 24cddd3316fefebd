"""One run of a real collector process on the local Twitch, with a real Postgres under the log, while things go wrong.

The acts come in an order and at times that the seed says. Each notes whom it may cost what: a connection that ends
costs its channels GRACE_S and what the pacing needs for their JOINs; the collector's death costs all channels that, and
the time until it is started again; what ends no connection, a RECONNECT and a log that is away or hangs cost nothing.
However the acts meet, the run lasts longer than all that they may cost any one channel, so that a channel which is
never claimed is found out.
"""

import asyncio
import contextlib
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.postgres import EmbeddedPostgres
from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import Pace, Session, SimOptions, SimulatedFeed, TwitchSim
from tests.integration.matrix.servers import postmaster

START_MS: Final = 1_767_225_600_000
JOINS: Final = 18
JOIN_WINDOW_S: Final = 1.25
"""Of the pacing: a tenth of Twitch's, as the local server's limit is ten times Twitch's. A killed collector's JOINs
count, too, and its successor knows of them."""
JOIN_LIMIT: Final = 10 * 20
GRACE_S: Final = 20.0
EDGES_S: Final = 5.0
"""Of the beginning and the end: what every claim keeps off them, and a channel without chat waits for a PONG."""
LOG_AWAY_S: Final = 20.0
PATIENCE_S: Final = 60.0
MODULE: Final = "tests.integration.streams.collect.faults.collector"
PROJECT: Final = Path(__file__).parents[5]
ACTS: Final = (
    "cut", "cut in pieces", "half-close", "reconnect", "kill", "log away",
    "delay", "split", "duplicate", "duplicate", "flood", "flood", "wrong pong", "no pong",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is said and what goes wrong. settle_s: from the last act to the end, so that each has to be got over."""

    channels: int = 200
    lines: int = 1_000_000
    rate_per_s: float = 6_000.0
    acts: tuple[str, ...] = ACTS
    settle_s: float = 20.0


class Trial:
    """allowed_ms: by login, what may be unclaimed so far; span: [begin, end) of the chat that counts, ms; done: acts by
    kind."""

    def __init__(
        self, plan: Plan, folder: Path, postgres: EmbeddedPostgres, dsn: str, seed: int, broken: str = ""
    ) -> None:
        """broken: how the collector is broken on purpose, see `collector`."""
        self.plan = plan
        self.simulation = Simulation(seed, plan.channels, plan.rate_per_s)
        self.logins = [self.simulation.channel(number)[1] for number in range(plan.channels)]
        self.allowed_ms = dict.fromkeys(self.logins, int(EDGES_S * 1000))
        self.span = (0, 0)
        self.done: Counter[str] = Counter()
        options = SimOptions(pace=Pace(), seed=seed, wait_joins=plan.channels, join_limit=JOIN_LIMIT)
        self.twitch = TwitchSim(SimulatedFeed(self.simulation, START_MS), options)
        self._server = postmaster(postgres)
        self._postgres = postgres
        self._dsn = dsn
        self._folder = folder
        self._chance = random.Random(seed)
        self._broken = broken
        self._collector: asyncio.subprocess.Process | None = None
        self._struck: Counter[str] = Counter()

    async def run(self) -> None:
        """From the first JOIN until all lines are said and it has lasted longer than `allowed_ms` of any channel; then
        the collector is stopped in order."""
        (self._folder / "channels").write_text("\n".join(self.logins))
        async with self.twitch:
            (self._folder / "ca.pem").write_bytes(self.twitch.ca_pem)
            try:
                await self._start()
                await self._until(self._all_joined)
                began_ms = _now_ms()
                for act in self._chance.sample(self.plan.acts, len(self.plan.acts)):
                    await asyncio.sleep(self._chance.uniform(4.0, 11.0))
                    await self._until(lambda: any(self._heard(session) for session in self.twitch.sessions))
                    await self._act(act)
                    self.done[act] += 1
                await asyncio.sleep(self.plan.settle_s)
                await self._until(lambda: self.twitch.lines_said >= self.plan.lines, 3 * PATIENCE_S)
                most_ms = max(self.allowed_ms.values())
                await self._until(lambda: _now_ms() - began_ms > most_ms, 3 * PATIENCE_S)
                self.span = began_ms, _now_ms()
                await self._stop()
            finally:
                await self._kill()

    # ---- the acts --------------------------------------------------------------------------------------------------

    async def _act(self, act: str) -> None:
        misbehave, session = self.twitch.misbehave, self._least_struck()
        if act == "cut":
            self._strike(session)
            misbehave.cut(session)
        elif act == "cut in pieces":
            misbehave.split(session)
            await asyncio.sleep(1.0)
            self._strike(session)
            misbehave.cut(session)
        elif act == "half-close":
            self._strike(session)
            misbehave.half_close(session)
        elif act == "reconnect":
            misbehave.reconnect(session)
        elif act == "delay":  # nothing is cut meanwhile: what was held back then would be lost, and nobody could know
            misbehave.delay(session, 2.0, 5.0)
            await asyncio.sleep(8.0)
        elif act == "split":
            misbehave.split(session, 10.0)
        elif act == "duplicate":
            misbehave.duplicate(session)
        elif act == "flood":
            misbehave.flood(self._chance.choice(session.logins()))
        elif act == "wrong pong":
            misbehave.wrong_pong(session)
        elif act == "no pong":
            misbehave.wrong_pong(session, 1_000)
        elif act == "kill":
            killed_s = time.monotonic()
            await self._kill()
            await asyncio.sleep(self._chance.uniform(0.0, 3.0))
            await self._start()
            self._all_struck(time.monotonic() - killed_s)
        elif act == "log hangs":
            await self._log_hangs()
        else:
            await self._log_away()

    async def _log_hangs(self) -> None:
        """Postmaster and children are stopped, not killed: no append fails, none is answered. They go on once the
        collector has given up waiting and sends to the disk what it takes in."""
        pid = self._postgres.running_pid()
        assert pid is not None
        stopped: list[int] = []
        try:
            for one in (pid, *children(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGSTOP)
                    stopped.append(one)
            await self._until(lambda: any((self._folder / "home" / "collect" / "spool").glob("*.spool")))
        finally:
            for one in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGCONT)

    async def _log_away(self) -> None:
        """The postmaster and its children are killed; meanwhile the collector is, too: what it holds is on disk only,
        and a new one is not to be had before the log is back."""
        pid = self._postgres.running_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        dies_after_s = self._chance.uniform(5.0, LOG_AWAY_S - 1.0)
        await asyncio.sleep(dies_after_s)
        killed_s = time.monotonic()
        await self._kill()
        await asyncio.sleep(LOG_AWAY_S - dies_after_s)
        await asyncio.to_thread(self._postgres.start)
        await self._start()
        self._all_struck(time.monotonic() - killed_s)

    def _heard(self, session: Session) -> list[str]:
        return session.logins() if session.nick and not session.outlet.silent and not session.wire.ending else []

    def _least_struck(self) -> Session:
        """A connection, so that faults go round: no channel may meet most of them."""
        there = [session for session in self.twitch.sessions if self._heard(session)]
        self._chance.shuffle(there)
        return min(there, key=lambda session: max(self._struck[login] for login in session.logins()))

    def _strike(self, session: Session) -> None:
        logins = session.logins()
        joins = len(logins) + len(self._unheard())
        for login in logins:
            self._struck[login] += 1
            self.allowed_ms[login] += int((GRACE_S + _pacing_s(joins)) * 1000)

    def _all_struck(self, down_s: float) -> None:
        for login in self.logins:
            self.allowed_ms[login] += int((GRACE_S + down_s + _pacing_s(self.plan.channels)) * 1000)

    def _unheard(self) -> set[str]:
        heard = (login for session in self.twitch.sessions for login in self._heard(session))
        return set(self.logins).difference(heard)

    def _all_joined(self) -> bool:
        return not self._unheard()

    # ---- the collector ---------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._collector = await started(self._folder, self.twitch, self._dsn, broken=self._broken)

    async def _kill(self) -> None:
        if self._collector is not None:
            ended = self._collector.returncode
            with contextlib.suppress(ProcessLookupError):
                self._collector.kill()
            await self._collector.wait()
            self._collector = None
            assert ended is None, f"the collector had ended by itself, code {ended}: {self._last_words()}"

    async def _stop(self) -> None:
        assert self._collector is not None
        assert self._collector.returncode is None, f"the collector ended by itself: {self._last_words()}"
        self._collector.terminate()
        async with asyncio.timeout(PATIENCE_S):
            code = await self._collector.wait()
        self._collector = None
        assert code == 0, f"exit code {code}: {self._last_words()}"

    def _last_words(self) -> str:
        return (self._folder / "collector.log").read_text()[-2_000:]

    async def _until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(patience_s):
            while not condition():
                if self._collector is not None and self._collector.returncode is not None:
                    raise AssertionError(f"the collector ended by itself: {self._last_words()}")
                await asyncio.sleep(0.05)


async def started(
    folder: Path, twitch: TwitchSim, dsn: str, *, name: str = "home", broken: str = ""
) -> asyncio.subprocess.Process:
    """A collector of the folder's channels with a home of that name there; what it says goes to `collector.log`."""
    clean = {one: value for one, value in os.environ.items() if not one.startswith("TWZRD_")}
    host, port = twitch.address
    arguments: tuple[object, ...] = (
        "--home", folder / name, "--server", f"{host}:{port}", "--ca", folder / "ca.pem",
        "--channels-file", folder / "channels", "--join-window-s", JOIN_WINDOW_S,
        *(("--broken", broken) if broken else ()),
    )  # fmt: skip
    own = {"PYTHONPATH": str(PROJECT), "TWZRD_DATABASE_URL": dsn, "TWZRD_COLLECTOR_NAME": name}
    with (folder / "collector.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULE,
            *map(str, arguments),
            cwd=PROJECT,
            env={**clean, **own},
            stdout=log,
            stderr=log,
        )


def children(pid: int) -> list[int]:
    """Its child processes now."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _pacing_s(joins: int) -> float:
    return math.ceil(joins / JOINS) * JOIN_WINDOW_S


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
