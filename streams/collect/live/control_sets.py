"""What the records of the control stream say together: wishes, rulings, who opted out, room ids, renames.

In: records in the order of the stream, which `control` reads. Out: the sets that hold by then, and their counters. Pure
but for the log line of a damaged record.
"""

import logging
import sys
from dataclasses import dataclass
from typing import Final

from schemas import control as records
from schemas.errors import SchemaError, TwzrdError
from schemas.identity import LOGIN_PREFIX
from streams.collect.live.renames import Renames

logger: Final = logging.getLogger(__name__)

MAX_CHANNELS: Final = 50_000
"""Channels that anything is remembered of, of wishes for each origin; what is said of more is passed over and
counted."""
MAX_SUPPRESSED: Final = 5_000_000
"""Viewers who opted out; beyond it a collector stops rather than let one of them through."""
MAX_STATES: Final = 100_000
"""States of channels at collectors, where they are asked for; beyond it passed over and counted."""


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
        # By origin, and not the other way round: a small dictionary for each of thousands of logins weighs more.
        self._wishes: dict[records.Origin, dict[str, records.Wanted]] = {"operator": {}, "discovery": {}}
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
                wishes = self._wishes[record.origin]
                if self._room(record.login in wishes, len(wishes), MAX_CHANNELS):
                    wishes[sys.intern(record.login)] = record  # one string for a login, wherever it stands
                    self.renames.wished(record)
                self._reported(record.login, record.room_id)
            case records.Unwanted():
                self._wishes[record.origin].pop(record.login, None)
                self.renames.unwished(record)
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

    @property
    def wishes(self) -> dict[str, dict[records.Origin, records.Wanted]]:
        """login -> whose wish, as long as it holds; put together anew each time."""
        found: dict[str, dict[records.Origin, records.Wanted]] = {}
        for origin, wishes in self._wishes.items():
            for login, wish in wishes.items():
                found.setdefault(login, {})[origin] = wish
        return found

    def wanted(self) -> frozenset[str]:
        """Logins that some origin wants, under the names they bear now; the discovery's wishes only where no operator
        denies them."""
        found = set()
        for origin, wishes in self._wishes.items():
            for login, wish in wishes.items():
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
        self.room_ids[sys.intern(login)] = room_id
        if len(self.room_ids) > MAX_CHANNELS:
            del self.room_ids[next(iter(self.room_ids))]
            self.counters.forgotten_total += 1

    def _room(self, known: bool, held: int, bound: int) -> bool:
        if known or held < bound:
            return True
        self.counters.over_bound_total += 1
        return False
