"""One run of the matrix: a random log is appended to a way's log while faults strike its workers; then the verdict.

In: a way, its server, a seed. Out: a report with what was done and how the seals differ from those of one shard that
is fed directly with what the log then holds.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.log.port import CHAT_EVENTS, Append, Log, LogError
from tests.generators import Record, random_log
from tests.integration.matrix.faults import Fault, Step, plan
from tests.integration.matrix.rules import GRACE_S, PARTITIONS, PEPPER, SCHEDULE
from tests.integration.matrix.said import Differences, Listener, Said, differences, expected
from tests.integration.matrix.servers import Server
from tests.integration.matrix.ways import Way, open_log
from tests.integration.matrix.workers import Workers

CHANNELS: Final = 12
HOURS: Final = 7
PATIENCE_S: Final = 90.0
"""No new record on epoch.sealed for that long, though something is missing: it will not come any more."""
NEWS_S: Final = 10.0
THIRD: Final = "c"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did and came to."""

    way: str
    seed: int
    records: int
    seals: int
    late: int
    kills: int
    pauses: int
    server_kills: int
    restarts: int
    said_again: int
    """Seals on epoch.sealed beyond the first of each."""
    sealed_at_kills: list[int]
    """How many different seals were there at each kill: shows that the kills struck work under way."""
    differences: Differences
    exit_codes: list[int]
    seconds: float

    def __str__(self) -> str:
        found = self.differences
        return (
            f"matrix {self.way} seed {self.seed}: {self.records} records, {self.seals} seals, {self.late} late, "
            f"{self.kills} SIGKILLs of workers at {self.sealed_at_kills} seals, "
            f"{self.pauses} pauses, {self.server_kills} of the server, "
            f"{self.restarts} restarts, {self.said_again} seals said again, {len(found.wrong)} wrong, "
            f"{len(found.missing)} missing, {len(found.extra)} extra, {self.seconds:.0f} s"
        )


async def run(way: Way, server: Server, seed: int, folder: Path) -> Report:
    """Start to verdict. Raises AssertionError where a worker ends by itself."""
    log, workers = open_log(way), Workers(folder, way.environment, server, way.entry)
    await log.open()
    try:
        return await _Run(way, server, seed, log, workers).through()
    finally:
        workers.end()
        await log.close()


class _Run:
    def __init__(self, way: Way, server: Server, seed: int, log: Log, workers: Workers) -> None:
        self._way = way
        self._server = server
        self._seed = seed
        self._log = log
        self._workers = workers
        self._rng = random.Random(seed)
        self._listener = Listener(log, PARTITIONS)
        self._sealed_at_kills: list[int] = []
        self._pauses: list[asyncio.Task[None]] = []
        self._exit_codes: list[int] = []

    async def through(self) -> Report:
        began_s = asyncio.get_running_loop().time()
        records = list(random_log(self._seed, channels=CHANNELS, hours=HOURS))
        steps = plan(self._rng, kills=self._way.kills, pauses=self._way.pauses, waits_s=self._way.waits_s)
        for name in ("a", "b"):
            self._workers.start(name)
        for number, step in enumerate(steps):
            share = slice(len(records) * number // len(steps), len(records) * (number + 1) // len(steps))
            self._workers.look_after()
            await self._step(step, records[share])
        await asyncio.gather(*self._pauses)
        wanted = await expected(self._log, SCHEDULE, PEPPER)
        await self._settle(wanted)
        self._exit_codes += await self._workers.end_well(self._workers.names())
        await self._listener.catch_up()
        said = self._listener.said
        return Report(
            self._way.name,
            self._seed,
            len(records),
            len(said.seals),
            len(said.late),
            self._workers.kills,
            len(self._pauses),
            self._server.kills,
            self._workers.restarts,
            said.times.total() - len(said.seals),
            self._sealed_at_kills,
            differences(wanted, said),
            self._exit_codes,
            asyncio.get_running_loop().time() - began_s,
        )

    async def _step(self, step: Step, records: Sequence[Record]) -> None:
        """Half of the records trickle in before the fault; the rest come at once and it strikes while they are folded
        and sealed."""
        half = len(records) // 2
        await self._append(records[:half], step.wait_s * step.strikes_at)
        await self._until_there_is_news()
        burst = asyncio.create_task(self._append(records[half:], 0.0))
        await asyncio.sleep(self._rng.uniform(0.0, 0.3))
        await self._strike(step)
        await burst
        await asyncio.sleep(step.wait_s * (1 - step.strikes_at))

    async def _append(self, records: Sequence[Record], over_s: float) -> None:
        """In uneven pieces over that time. A piece that failed is appended again, perhaps a second time: the verdict
        goes by what the log holds in the end."""
        start = 0
        while start < len(records):
            piece = records[start : start + self._rng.randint(1, 60)]
            appends = [Append(None, key, value) for key, value in piece]
            while True:
                try:
                    await self._log.append(CHAT_EVENTS, appends)
                    break
                except LogError:
                    await asyncio.sleep(0.2)
            start += len(piece)
            await asyncio.sleep(over_s * len(piece) / len(records))

    async def _strike(self, step: Step) -> None:
        if step.fault is Fault.KILL:
            self._sealed_at_kills.append(len(self._listener.said.seals))
            name = self._rng.choice(self._workers.names())
            self._workers.kill(name)
            self._workers.start(name, known=name != THIRD)
        elif step.fault is Fault.KILL_ALL:
            self._sealed_at_kills.append(len(self._listener.said.seals))
            names = self._workers.names()
            for name in names:
                self._workers.kill(name)
            await asyncio.sleep(self._rng.uniform(0.0, 2.0))
            for name in names:
                self._workers.start(name, known=name != THIRD)
        elif step.fault is Fault.PAUSE:
            await asyncio.gather(*self._pauses)  # one at a time, so that another goes on
            self._pauses.append(asyncio.create_task(self._pause()))
        elif step.fault is Fault.JOIN:
            self._workers.start(THIRD, known=False)
        elif step.fault is Fault.LEAVE:
            self._exit_codes += await self._workers.end_well([THIRD])
        elif step.fault is Fault.SERVER:
            await self._server.kill_and_restart()
        else:
            await asyncio.sleep(GRACE_S + 1.0)

    async def _until_there_is_news(self) -> None:
        """A kill should find work under way: wait, not for ever, until workers have spoken since the last fault."""
        until_s = asyncio.get_running_loop().time() + NEWS_S
        while asyncio.get_running_loop().time() < until_s:
            with contextlib.suppress(LogError):  # the other way on this server has just killed it
                if await self._listener.catch_up():
                    return
            await asyncio.sleep(0.1)

    async def _pause(self) -> None:
        name = self._rng.choice([name for name in self._workers.names() if name != THIRD])
        self._workers.pause(name)
        await asyncio.sleep(self._way.pause_s)
        self._workers.go_on(name)

    async def _settle(self, wanted: Said) -> None:
        """Read until nothing is missing, or nothing new has come for too long."""
        clock = asyncio.get_running_loop().time
        heard_s = clock()
        while differences(wanted, self._listener.said).missing:
            self._workers.look_after()
            try:
                if await self._listener.catch_up():
                    heard_s = clock()
            except LogError:
                heard_s = clock()
            if clock() - heard_s > PATIENCE_S:
                return
            await asyncio.sleep(0.3)
