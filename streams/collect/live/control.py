"""The control stream as collectors see it: which channels are wanted and who opted out, seconds after it was said.

In: records of `control` through the log port. Out: ControlView, which is port.WantedChannels and port.Suppressed, and
say(), which writes. Where the log is away the last known sets hold, and reading is tried again until it is back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from schemas import control as records
from schemas.errors import SchemaError, TwzrdError
from schemas.identity import LOGIN_PREFIX
from streams.collect.live.renames import Renames
from streams.log.port import CONTROL, Append, Log, LogError

logger: Final = logging.getLogger(__name__)

MAX_CHANNELS: Final = 50_000
"""Channels that anything is remembered of; what is said of more is passed over and counted."""
MAX_SUPPRESSED: Final = 5_000_000
"""Viewers who opted out; beyond it a collector stops rather than let one of them through."""
MAX_STATES: Final = 100_000
"""States of channels at collectors, where they are asked for; beyond it passed over and counted."""
WAIT_MS: Final = 1_000
FIRST_PAUSE_S: Final = 0.2
LAST_PAUSE_S: Final = 2.0
"""Pauses after a lost log double from the first to the last: a change is seen within 5 s of the log's return."""


class ControlError(TwzrdError):
    """The control stream says more than a collector can hold; going on would break a promise."""


@dataclass(slots=True)
class ControlCounters:
    """What a view met."""

    records_total: int = 0
    undecodable_total: int = 0
    """Records passed over because they are damaged or of a newer program."""
    over_bound_total: int = 0
    """Records passed over at MAX_CHANNELS or MAX_STATES."""
    forgotten_total: int = 0
    """Room ids and renames said longest ago, forgotten at MAX_CHANNELS of each."""
    log_lost_total: int = 0


class ControlSets:
    """What the records say together. Feed them in order; feeding one twice changes nothing."""

    def __init__(self, *, states: bool = False) -> None:
        """states: also remember what collectors report, and when they were heard (for `why`; they have no need)."""
        self.counters = ControlCounters()
        self.wishes: dict[str, dict[records.Origin, records.Wanted]] = {}
        """login -> whose wish, as long as it holds."""
        self.rulings: dict[str, records.Ruled] = {}
        self.suppressed: dict[str, records.OptOut] = {}
        self.states: dict[tuple[str, str], records.ChannelState] = {}
        """(login, collector) -> its last report."""
        self.heartbeats: dict[str, tuple[records.Heartbeat, int]] = {}
        """Collector -> its last, and when the log took that in (ms UTC)."""
        self.room_ids: dict[str, str] = {}
        """login -> the room id by which some collector, or the discovery, knew it last, unless that was renamed since;
        outlives every process."""
        self.renames = Renames()
        self.version = 0
        """Rises with every change of `suppressed`."""
        self._by_id = 0
        """How many of `suppressed` are Twitch ids."""
        self._keep_states = states

    def feed(self, value: bytes, time_ms: int = 0) -> None:
        """Take one record's bytes in; time_ms: when the log did. Raises ControlError at MAX_SUPPRESSED."""
        self.counters.records_total += 1
        try:
            record = records.decode(value)
        except SchemaError as error:
            self.counters.undecodable_total += 1
            logger.warning("a control record was passed over: %s", type(error).__name__)
            return
        match record:
            case records.Wanted():
                if self._room(record.login in self.wishes, len(self.wishes), MAX_CHANNELS):
                    self.wishes.setdefault(record.login, {})[record.origin] = record
                    self.renames.wished(record)
                self._reported(record.login, record.room_id)
            case records.Unwanted():
                wishes = self.wishes.get(record.login, {})
                wishes.pop(record.origin, None)
                self.renames.unwished(record)
                if not wishes:
                    self.wishes.pop(record.login, None)
            case records.Ruled():
                if record.ruling == "none":
                    self.rulings.pop(record.login, None)
                elif self._room(record.login in self.rulings, len(self.rulings), MAX_CHANNELS):
                    self.rulings[record.login] = record
            case records.Renamed():
                self.renames.take(record)
                if len(self.renames.said) > MAX_CHANNELS:
                    self.renames.forget_oldest()
                    self.counters.forgotten_total += 1
                self.room_ids.pop(record.login, None)
                self._knows(record.to, record.room_id)
            case records.OptOut():
                if record.viewer not in self.suppressed and len(self.suppressed) >= MAX_SUPPRESSED:
                    raise ControlError(
                        f"more than {MAX_SUPPRESSED} viewers opted out; raise the bound MAX_SUPPRESSED, "
                        "collecting without it would keep what must not be kept"
                    )
                self._by_id += record.viewer not in self.suppressed and not record.viewer.startswith(LOGIN_PREFIX)
                self.suppressed[record.viewer] = record
                self.version += 1
            case records.OptIn():
                if self.suppressed.pop(record.viewer, None) is not None:
                    self._by_id -= not record.viewer.startswith(LOGIN_PREFIX)
                    self.version += 1
            case records.ChannelState():
                self._reported(record.login, record.room_id)
                where = record.login, record.collector
                if self._keep_states and self._room(where in self.states, len(self.states), MAX_STATES):
                    self.states[where] = record
            case records.Heartbeat():
                known = record.collector in self.heartbeats
                if self._keep_states and self._room(known, len(self.heartbeats), MAX_STATES):
                    self.heartbeats[record.collector] = record, time_ms
            case records.Snapshot():
                pass  # for the read models

    def wanted(self) -> frozenset[str]:
        """Logins that some origin wants, under the names they bear now; the discovery's wishes only where no operator
        denies them."""
        found = set()
        for login, wishes in self.wishes.items():
            for origin, wish in wishes.items():
                now = self.renames.bearer(wish)
                if origin == "operator" or not (self.denies(login) or self.denies(now)):
                    found.add(now)
        return frozenset(found)

    def wishes_for(self, name: str) -> dict[str, dict[records.Origin, records.Wanted]]:
        """Wishes that name the login, and those that stand for it since a rename, by the login that they name."""
        found: dict[str, dict[records.Origin, records.Wanted]] = {}
        for login, wishes in self.wishes.items():
            if login == name:
                found[login] = wishes
            elif followed := {origin: one for origin, one in wishes.items() if self.renames.bearer(one) == name}:
                found[login] = followed
        return found

    def denies(self, login: str) -> bool:
        """Whether the discovery must leave it alone."""
        ruled = self.rulings.get(login)
        return ruled is not None and ruled.ruling == "deny"

    def ruled(self, ruling: records.Ruling) -> frozenset[str]:
        """Logins with that ruling."""
        return frozenset(login for login, one in self.rulings.items() if one.ruling == ruling)

    def holds(self, identity: str, login: str) -> bool:
        """Whether that viewer opted out, by either name."""
        if not self.suppressed:
            return False
        return identity in self.suppressed or LOGIN_PREFIX + login in self.suppressed

    @property
    def any_by_id(self) -> bool:
        """Whether anybody is opted out by Twitch id."""
        return self._by_id > 0

    def _reported(self, login: str, room_id: str | None) -> None:
        # A late report of a room that is known to have left the login says nothing of who bears that by now.
        away = self.renames.said.get(login)
        if room_id is not None and (away is None or away.room_id != room_id):
            self._knows(login, room_id)

    def _knows(self, login: str, room_id: str) -> None:
        self.room_ids.pop(login, None)
        self.room_ids[login] = room_id
        if len(self.room_ids) > MAX_CHANNELS:
            del self.room_ids[next(iter(self.room_ids))]
            self.counters.forgotten_total += 1

    def _room(self, known: bool, held: int, bound: int) -> bool:
        if known or held < bound:
            return True
        self.counters.over_bound_total += 1
        return False


class ControlView:
    """Follows the stream: port.WantedChannels and port.Suppressed. Run `follow` as a task beside whoever asks, and
    await `ready` before the first chat line is taken in: until then the opted-out are not known."""

    def __init__(self, log: Log, *, states: bool = False) -> None:
        self.sets = ControlSets(states=states)
        self._log = log
        self._next = 0
        self._ready = asyncio.Event()
        self._news = asyncio.Event()
        self._looked = asyncio.Event()
        self._empty_looks = 0

    async def follow(self) -> None:
        """Until cancelled. Outlives a lost log; raises ControlError where the sets outgrow their bound."""
        pause_s, end = FIRST_PAUSE_S, None
        while True:
            try:
                if end is None:
                    end = (await self._log.span(CONTROL, 0))[1]
                found = await self._log.read(CONTROL, 0, self._next, wait_ms=WAIT_MS if self._ready.is_set() else 0)
                if not found and not self._ready.is_set() and self._next < end:
                    # Compaction may have left nothing up to the end that was asked for; look once more, with patience.
                    found = await self._log.read(CONTROL, 0, self._next, wait_ms=WAIT_MS)
            except LogError as lost:
                self.sets.counters.log_lost_total += 1
                logger.warning("the control stream is away; again in %.1f s: %s", pause_s, lost)
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_PAUSE_S, pause_s * 2)
                continue
            pause_s = FIRST_PAUSE_S
            for record in found:
                self.sets.feed(record.value)
                self._next = record.offset + 1
            if not self._ready.is_set() and (not found or self._next >= end):
                self._ready.set()
                self._tell()
            elif found:
                self._tell()
            self._empty_looks += not found
            self._looked.set()
            self._looked = asyncio.Event()

    async def ready(self) -> None:
        """Wait until everything is known that the stream held when following began."""
        await self._ready.wait()

    async def caught_up(self) -> None:
        """Wait until everything is known that the stream holds now. Raises LogError where the log is away."""
        _, end = await self._log.span(CONTROL, 0)
        # Compaction may have left nothing up to the end; the first empty look may have begun before.
        enough = self._empty_looks + 2
        while self._next < end and self._empty_looks < enough:
            await self._looked.wait()

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The wanted logins once they are known, and again at every change; what changed meanwhile comes as one."""
        await self.ready()
        told: frozenset[str] | None = None
        while True:
            news = self._news
            wanted = self.sets.wanted()
            if wanted != told:
                told = wanted
                yield wanted
                continue
            await news.wait()

    def holds(self, identity: str, login: str) -> bool:
        """See port.Suppressed."""
        return self.sets.holds(identity, login)

    @property
    def version(self) -> int:
        """See port.Suppressed."""
        return self.sets.version

    @property
    def any_by_id(self) -> bool:
        """See port.Suppressed."""
        return self.sets.any_by_id

    @property
    def news(self) -> asyncio.Event:
        """Set when anything more is said; each time another event, so take it before looking."""
        return self._news

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def read_sets(log: Log, *, states: bool = False) -> ControlSets:
    """What the stream says up to now, in one go. Raises LogError."""
    sets, at = ControlSets(states=states), 0
    _, end = await log.span(CONTROL, 0)
    while at < end:
        found = await log.read(CONTROL, 0, at, wait_ms=WAIT_MS)
        if not found:
            break
        for record in found:
            sets.feed(record.value, record.time_ms)
            at = record.offset + 1
    return sets


async def say(log: Log, *said: records.Record) -> None:
    """Append records; on return they are durable. Raises LogError, and SchemaError for what fits no form."""
    if said:
        await log.append(CONTROL, [Append(None, records.key(one), records.encode(one)) for one in said])
