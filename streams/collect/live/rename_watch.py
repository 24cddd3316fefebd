"""Follows renames: a wanted channel whose login stopped working is looked up by its room id, and joined by the new one.

In: channels that the roster parked though their room id is known. Out: `renamed` records on `control`: the wanted set
of every collector follows those, so that the new login is joined in the old one's place and its events go on under the
same identity. Beside the reconciler, on the same loop; no JOIN waits for a look-up.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from schemas import control as records
from streams.collect.live.app_token import HelixError
from streams.collect.live.backoff import wait_s
from streams.collect.live.control import say
from streams.collect.live.membership import Channel
from streams.collect.live.roster import Roster
from streams.log.port import Log, LogError

logger: Final = logging.getLogger(__name__)

ROUND_S: Final = 10.0
"""Distance of rounds: with MAX_ASKED it bounds the questions of a minute to 60, of Helix's 800."""
MAX_ASKED: Final = 1_000
"""Ids of one round; the rest waits for the next, counted."""
FIRST_WAIT_S: Final = 60.0
LAST_WAIT_S: Final = 21_600.0
"""Between two look-ups of one channel, the first of which is at once; doubles while Helix knows nothing new."""
NO_CREDENTIALS: Final = (
    "room {room_id} cannot be looked up without Twitch credentials (docs/control.md); give them and start again, "
    "or, if it was renamed: twzrd channels add NEWLOGIN"
)


class LoginsOfIds(Protocol):
    """What is asked of Helix."""

    async def logins_of(self, room_ids: Sequence[str]) -> dict[str, str]:
        """room id -> login, of those that Twitch knows. Raises HelixError."""


@dataclass(slots=True)
class RenameCounters:
    """What the look-ups came to."""

    rounds_total: int = 0
    lookups_total: int = 0
    """Channels that were asked for by id."""
    followed_total: int = 0
    """Channels of which Helix named another login, and which were followed."""
    same_login_total: int = 0
    """Helix names the login that did not work: the channel was not renamed."""
    nobody_total: int = 0
    """Helix knows nobody of that id: suspended, or gone."""
    failures_total: int = 0
    """Rounds without an answer of Helix, or whose result did not reach the log; tried again later."""
    put_off_total: int = 0
    """Channels over MAX_ASKED in a round: they wait for the next."""


class RenameWatch:
    """One collector's. helix: None without credentials, then channels only say what to do. by: the collector's name."""

    def __init__(
        self, log: Log, roster: Roster, helix: LoginsOfIds | None, by: str, chance: random.Random | None = None
    ) -> None:
        self.counters = RenameCounters()
        self._log = log
        self._roster = roster
        self._helix = helix
        self._by = records.text(by, records.MAX_NAME_CHARS)
        self._chance = chance or random.Random()
        self._waits: dict[Channel, tuple[float, int]] = {}
        """Of channels that are astray: (loop time of the next look-up, look-ups so far)."""

    async def run(self) -> None:
        """A round as soon as a channel went astray, and now and then for look-ups that are due again, at most one in
        ROUND_S; until cancelled."""
        while True:
            self._roster.went_astray.clear()
            if await self.round():
                await asyncio.sleep(ROUND_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_S):
                    await self._roster.went_astray.wait()

    async def round(self) -> bool:
        """Look up what is due. Returns whether anything was."""
        astray, now_s = self._roster.still_astray(), self._roster.clock_s()
        self._waits = {one: self._waits.get(one, (now_s, 0)) for one in astray}
        due = sorted((one for one in astray if self._waits[one][0] <= now_s), key=lambda one: self._waits[one])
        self.counters.put_off_total += len(due[MAX_ASKED:])
        due = due[:MAX_ASKED]
        if not due:
            return False
        if self._helix is None:
            for channel in due:
                self._wait(channel, now_s, NO_CREDENTIALS.format(room_id=channel.room_id))
        else:
            await self._look_up(self._helix, due, now_s)
        return True

    async def _look_up(self, helix: LoginsOfIds, due: list[Channel], now_s: float) -> None:
        self.counters.rounds_total += 1
        self.counters.lookups_total += len(due)
        try:
            logins = await helix.logins_of([one.room_id or "" for one in due])
            # Who was heard meanwhile, or is not wanted any more, needs no answer.
            there = set(self._roster.still_astray())
            due = [one for one in due if one in there]
            await self._follow([one for one in due if logins.get(one.room_id or "", one.login) != one.login], logins)
        except (HelixError, LogError) as error:
            self.counters.failures_total += 1
            logger.warning("renames could not be looked up: %s", error)
            for channel in due:
                self._wait(channel, now_s, f"room {channel.room_id} could not be looked up: {error}")
            return
        for channel in due:
            self._wait(channel, now_s, self._answer(channel, logins.get(channel.room_id or "")))

    async def _follow(self, renamed: list[Channel], logins: dict[str, str]) -> None:
        at_ms = self._roster.clock_ms()
        said = [
            records.Renamed(records.VERSION, one.login, logins[one.room_id or ""], one.room_id or "", self._by, at_ms)
            for one in renamed
        ]
        await say(self._log, *said)
        for one in said:
            logger.warning("#%s is called #%s now (room %s) and is followed", one.login, one.to, one.room_id)

    def _answer(self, channel: Channel, login: str | None) -> str:
        if login is None:
            self.counters.nobody_total += 1
            return f"room {channel.room_id} is nobody's: suspended, or gone"
        if login == channel.login:
            self.counters.same_login_total += 1
            return f"room {channel.room_id} still is #{login}"
        self.counters.followed_total += 1
        return f"room {channel.room_id} is #{login} now, which is followed"

    def _wait(self, channel: Channel, now_s: float, outcome: str) -> None:
        tries = self._waits[channel][1] + 1
        self._waits[channel] = now_s + wait_s(tries, FIRST_WAIT_S, LAST_WAIT_S, self._chance), tries
        self._roster.remark(channel, "rename", outcome)
