"""`twzrd up`: the parts of the pipeline as child processes of one group, each restarted when it falls."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from infra import compose, databases, fit_pepper, one_supervisor
from infra.ports import must_be_free
from infra.settings import Settings
from infra.stopping import stop_on_signals
from streams.log.port import LogError

_log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LAST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""A part that ran so long starts again at once, with the first pause."""
STOP_TIMEOUT_S: Final = 20.0
"""How long a part may take to stop before it is killed; nothing rests on its goodbye."""
SAME_STOP_S: Final = 0.2
"""A part that ends so shortly before we are asked to stop was asked, too: a signal went to the whole group."""


@dataclass(frozen=True, slots=True)
class Part:
    """One child: its name and the arguments of `twzrd` that make it. quiet: what it says on standard output, for
    people, is dropped; its log is not."""

    name: str
    arguments: Sequence[str]
    quiet: bool = False


class Supervisor:
    """Runs parts until stopped. Children get our environment and standard error, and end when we do (infra.cli.child):
    of the pipe that is their standard input we alone hold the other end."""

    def __init__(self, settings: Settings, parts: Sequence[Part], environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "infra.cli.child", "--home", str(settings.home)]
        self._parts = parts
        self._environment = {**os.environ, **environment}
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._alive: tuple[int, int] | None = None
        self.restarts_total = 0

    def start(self) -> None:
        """Start every part."""
        self._alive = os.pipe()
        self._tasks = [asyncio.create_task(self._keep(part)) for part in self._parts]

    async def stop(self) -> None:
        """Ask every part to stop, wait, and end what does not listen."""
        self._stop.set()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for descriptor in self._alive or ():
                os.close(descriptor)
            self._alive = None

    async def _keep(self, part: Part) -> None:
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            began_s = loop.time()
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *part.arguments,
                    env=self._environment,
                    stdin=self._alive[0] if self._alive else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL if part.quiet else None,
                )
            except OSError as error:  # no memory or no process left on this machine, for now
                _log.error("%s cannot be started: %s; again in %.1f s", part.name, error, LAST_PAUSE_S)
                await self._stopped_within(LAST_PAUSE_S)
                continue
            ended = asyncio.create_task(process.wait())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self._stop.is_set():
                await self._end(process, ended)
                return
            if await self._stopped_within(SAME_STOP_S):
                return
            if loop.time() - began_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            self.restarts_total += 1
            _log.error("%s ended with exit code %s; again in %.1f s", part.name, process.returncode, pause_s)
            await self._stopped_within(pause_s)
            pause_s = min(LAST_PAUSE_S, pause_s * 2)

    async def _stopped_within(self, time_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), time_s)
        return self._stop.is_set()

    async def _end(self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(ended), STOP_TIMEOUT_S)
        except TimeoutError:
            _log.error("process %s did not stop within %.0f s and was killed", process.pid, STOP_TIMEOUT_S)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended


def parts_of(port: int, *, claims: bool = False) -> list[Part]:
    """Everything one machine needs. claims: a mint is configured, so claims are paid."""
    paying = [Part("sign", ["sign"]), Part("pay", ["pay"])] if claims else []
    return [
        Part("work", ["work"]),
        Part("project", ["project"]),
        Part("archive", ["archive"]),
        Part("close", ["close"]),
        Part("serve", ["serve", "--port", str(port)]),
        *paying,
    ]


async def run_up(settings: Settings, port: int | None, collect: Sequence[str] = ()) -> int:
    """Run everything until asked to stop; returns the exit code. collect: arguments of the collector; none: without."""
    stop = stop_on_signals()
    with contextlib.ExitStack() as stack:
        compose.make_home(settings)
        stack.enter_context(one_supervisor.alone(settings.home))
        must_be_free(settings.api_host, settings.api_port if port is None else port)
        pepper = compose.pepper_of(settings)
        # Of an embedded server every child is a user, too: whoever ends last stops it, even if we are killed.
        dsn = stack.enter_context(compose.database(settings))
        environment: dict[str, str] = {}
        if settings.mint:
            await databases.migrate(dsn)  # which makes the roles that signer and payer connect as
        if settings.log == "kafka":
            environment["TWZRD_KAFKA_BOOTSTRAP"] = stack.enter_context(compose.broker(settings))
        with contextlib.suppress(LogError):  # a log that is away: the worker waits for it, and looks, too
            bootstrap = environment.get("TWZRD_KAFKA_BOOTSTRAP", "")
            async with compose.open_log(replace(settings, database_url=dsn, kafka_bootstrap=bootstrap)) as log:
                await fit_pepper.check(log, pepper, settings.pepper_path)
        if port is not None:
            environment["TWZRD_API_PORT"] = str(port)  # the signer must know the site that wallets are bound on
        parts = parts_of(settings.api_port if port is None else port, claims=bool(settings.mint))
        if collect:
            parts.append(Part("collect", ["collect", *collect]))
        supervisor = Supervisor(settings, parts, environment)
        supervisor.start()
        await stop.wait()
        await supervisor.stop()
    return 0
