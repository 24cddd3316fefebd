"""`twzrd collect`: connections, channels, intake and log composed and run until asked to stop.

`compose_collector` is the one place where the parts are chosen.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry

from infra import compose
from infra.settings import Settings
from schemas.errors import TwzrdError
from streams.collect.live import metrics as collect_metrics
from streams.collect.live.connection import Endpoint
from streams.collect.live.membership import ChannelState
from streams.collect.live.metrics import CollectMetrics, Levels
from streams.collect.live.pacing import Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.port import Intake, WantedChannels
from streams.collect.live.reconciler import MAX_CHANNELS, Reconciler
from streams.collect.live.roster import Roster
from streams.collect.live.tls import client_context
from streams.log.port import Log

logger: Final = logging.getLogger(__name__)

FINISH_S: Final = 10.0
"""How long what was taken in may take to reach the log, or the spool, at the end."""
LOOK_AT_FILE_S: Final = 2.0
MAX_FILE_BYTES: Final = 4 << 20


class CollectError(TwzrdError):
    """The collector cannot start as it was asked to; the message says what to change."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What the command line says. channels: logins; channels_file: one a line, read again when it changes; neither:
    the wanted list of the control stream. server: host:port."""

    server: str
    ca_file: Path | None = None
    channels: tuple[str, ...] = ()
    channels_file: Path | None = None
    discover: bool = False
    duration_s: float | None = None
    metrics_port: int | None = None


class Activity(NamedTuple):
    """One channel's numbers since the start. covered_ms: claimed of the current epoch; lost: events that reached
    neither log nor spool; late: events behind what was claimed already."""

    events: int = 0
    last_event_ms: int | None = None
    covered_ms: int = 0
    lost: int = 0
    late: int = 0


class Queue(NamedTuple):
    """What waits for the log: records in memory, bytes on disk."""

    records: int = 0
    spooled_bytes: int = 0


class Taking(Protocol):
    """Everything behind the connections: the Intake, what drives it, and the way to the log."""

    @property
    def intake(self) -> Intake: ...

    async def run(self) -> None:
        """Flush and send, until `finish`. Raises where going on would lose what it promised."""

    async def finish(self, within_s: float) -> None:
        """Take no more; give what was taken to the log or the spool, within that time."""

    def activity(self) -> Mapping[str, Activity]:
        """Numbers by login."""

    def queue(self) -> Queue:
        """What waits."""


@dataclass(frozen=True, slots=True)
class Collector:
    """The composed parts."""

    options: CollectOptions
    metrics: CollectMetrics
    pool: Pool
    reconciler: Reconciler
    wanted: WantedChannels
    taking: Taking

    def states(self) -> list[ChannelState]:
        """How every channel stands."""
        return self.reconciler.states()

    def levels(self) -> Levels:
        """The gauges."""
        return self.reconciler.levels()


def compose_collector(settings: Settings, options: CollectOptions, log: Log) -> Collector:
    """Choose the parts. The real Intake with its Outbound, and the control stream's wanted list and reports, come in
    here and nowhere else. Raises CollectError or TlsError where the options cannot be met."""
    metrics = CollectMetrics()
    chance = random.Random()
    taking = CountingOnly()
    host, _, port = options.server.rpartition(":")
    endpoint = Endpoint(host, int(port), client_context(options.ca_file))
    pool = Pool(endpoint, taking.intake, metrics, chance=chance)
    roster = Roster(pool, taking.intake, metrics, chance=chance)
    reconciler = Reconciler(roster, Pacing())
    pool.attach(reconciler)
    return Collector(options, metrics, pool, reconciler, wanted_channels(options), taking)


def wanted_channels(options: CollectOptions) -> WantedChannels:
    """Where the wanted set comes from."""
    if options.channels:
        return FixedChannels(frozenset(options.channels))
    if options.channels_file is not None:
        return ChannelsFile(options.channels_file)
    raise CollectError("nothing says which channels to collect; give --channels a,b,c or --channels-file FILE")


Shown = Callable[[Collector], contextlib.AbstractAsyncContextManager[None]]
"""Shows a running collector to people or programs while the block runs."""


async def run(settings: Settings, options: CollectOptions, stop: asyncio.Event, show: Shown) -> None:
    """Collect until `stop`, or for the duration asked for; then leave the channels, and send what was taken in."""
    async with compose.open_log(settings) as log:
        collector = compose_collector(settings, options, log)
        registry = CollectorRegistry()
        collect_metrics.register(collector.metrics, collector.levels, registry)
        with compose.metrics_served(registry, options.metrics_port):
            async with show(collector):
                await _collect(collector, stop)


async def _collect(collector: Collector, stop: asyncio.Event) -> None:
    tasks = {
        asyncio.create_task(collector.reconciler.follow(collector.wanted), name="wanted"),
        asyncio.create_task(collector.reconciler.run(), name="reconciler"),
    }
    sending = asyncio.create_task(collector.taking.run(), name="sending")
    stopping = asyncio.create_task(_stopped(stop, collector.options.duration_s), name="stop")
    faults: set[asyncio.Future[None]] = {*tasks, sending, collector.pool.failed}
    try:
        done, _ = await asyncio.wait({*faults, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        collector.reconciler.want(frozenset())
        await collector.pool.close()
        await collector.taking.finish(FINISH_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(sending, FINISH_S)


async def _stopped(stop: asyncio.Event, duration_s: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration_s):
            await stop.wait()


class FixedChannels:
    """Implements port.WantedChannels: one set for good."""

    def __init__(self, logins: frozenset[str]) -> None:
        self._logins = logins

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The set, and then nothing more."""
        yield self._logins
        await asyncio.Event().wait()


class ChannelsFile:
    """Implements port.WantedChannels: a file with a login a line, `#` begins a remark; read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._logins = self._read()

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The set at once, and at every change of the file; while it cannot be read the last one holds."""
        yield self._logins
        while True:
            await asyncio.sleep(LOOK_AT_FILE_S)
            try:
                stamp = self._stamp()
                if stamp == self._seen:
                    continue
                logins = self._read()
            except CollectError as error:
                logger.warning("%s; the channels stay as they were", error)
                continue
            self._seen, self._logins = stamp, logins
            logger.info("%d channels are wanted by %s now", len(logins), self._path)
            yield logins

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise CollectError(f"channels file {self._path}: {error.strerror}; check the path") from error
        return found.st_mtime_ns, found.st_size

    def _read(self) -> frozenset[str]:
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES).decode()
        except OSError as error:
            raise CollectError(f"channels file {self._path}: {error.strerror}; check the path") from error
        except UnicodeDecodeError as error:
            raise CollectError(f"channels file {self._path} is not text; give one login a line") from error
        words = (line.partition("#")[0].strip().lower() for line in text.splitlines())
        return frozenset(word for word in words if word)


class CountingOnly:
    """A Taking that keeps nothing: it counts chat lines by channel. Stands where the real one is put in."""

    _CHAT: Final = (b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG")

    def __init__(self) -> None:
        self._activity: dict[str, Activity] = {}
        self._ending = asyncio.Event()

    @property
    def intake(self) -> Intake:
        return self

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        self._activity.setdefault(login, Activity())

    def received(self, connection: int, lines: bytes, at_ms: int) -> list[bytes]:
        rest = []
        for line in lines.splitlines():
            words = line.split(b" ", 4)
            at = (words[0][:1] == b"@") + (words[0][:1] == b"@" or words[0][:1] == b":")
            if len(words) > at + 1 and words[at] in self._CHAT:
                login = words[at + 1][1:].decode("ascii", "replace")
                # In one read, lines may stand right behind the confirmation that is acted on after them.
                seen = self._activity.get(login, Activity())
                if login in self._activity or len(self._activity) < MAX_CHANNELS:
                    self._activity[login] = seen._replace(events=seen.events + 1, last_event_ms=at_ms)
            elif line:
                rest.append(line)
        return rest

    def heard(self, connection: int, at_ms: int) -> None: ...

    def lost(self, login: str, connection: int) -> None: ...

    async def run(self) -> None:
        await self._ending.wait()

    async def finish(self, within_s: float) -> None:
        self._ending.set()

    def activity(self) -> Mapping[str, Activity]:
        return self._activity

    def queue(self) -> Queue:
        return Queue()
