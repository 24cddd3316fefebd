"""Events of viewers who opted out leave no trace: dropped here, before anything is sent.

Used by the Intake, by the outbound for records that had to wait, and by `twzrd raw`.

A deletion names its author by login alone. It is dropped where the login, or the id that bore it last as other events
showed, is opted out. Where no event showed an id, and anybody at all is opted out by id, it may be them: dropped, too.
"""

from typing import Final, Protocol

import numpy as np

from schemas.columns import EventColumns
from schemas.identity import LOGIN_PREFIX
from streams.collect.cutting import window
from streams.collect.live.port import Suppressed

MAX_KEPT: Final = 65_536
"""Viewers who need not be asked about. When reached all are asked about anew; an id is forgotten where its login is not
met again before that happens once more."""
KEPT, SUPPRESSED, UNIDENTIFIED = range(3)


class Dropped(Protocol):
    """Who counts what is dropped."""

    suppressed_events: int
    unidentified_events: int


class Suppression:
    """Asks `Suppressed` once for each viewer and version of the list; again each time for the few whom it holds."""

    def __init__(self, suppressed: Suppressed) -> None:
        self._suppressed = suppressed
        self._version = suppressed.version
        self._kept: dict[str, str] = {}
        """Identity by login, as events showed it, of those whom this version of the list does not hold."""
        self._others: dict[str, str] = {}
        """The same of those whom it holds, or who were not met since all were to be asked about anew."""

    @property
    def version(self) -> int:
        """Rises with every change of the list."""
        return self._suppressed.version

    def hides(self, identity: str, login: str) -> bool:
        """Whether that viewer opted out, or may have."""
        self._see_version()
        return self._kept.get(login) != identity and self._ask(identity, login) != KEPT

    def without(self, events: EventColumns, dropped: Dropped) -> EventColumns:
        """The events of all others, with the viewers they name alone; the same object where nobody is suppressed."""
        self._see_version()
        kept = self._kept
        of_viewers = [
            KEPT if kept.get(login) == identity else self._ask(identity, login) for identity, login in events.viewers
        ]
        if not any(of_viewers):
            return events
        of_events = np.array(of_viewers, np.uint8)[events.who]
        dropped.suppressed_events += int(np.count_nonzero(of_events == SUPPRESSED))
        dropped.unidentified_events += int(np.count_nonzero(of_events == UNIDENTIFIED))
        return window(events.take(of_events == KEPT))

    def _see_version(self) -> None:
        if self._version != self._suppressed.version:
            self._version = self._suppressed.version
            self._ask_anew()

    def _ask_anew(self) -> None:
        """All viewers. What is forgotten here of ids errs on the safe side: a deletion by nobody known is dropped."""
        if len(self._others) + len(self._kept) > MAX_KEPT:
            self._others.clear()
        self._others.update(self._kept)
        self._kept.clear()

    def _ask(self, identity: str, login: str) -> int:
        if identity.startswith(LOGIN_PREFIX):
            known = self._kept.get(login) or self._others.get(login)
            if self._suppressed.holds(known or identity, login):
                return SUPPRESSED
            return UNIDENTIFIED if known is None and self._suppressed.any_by_id else KEPT
        if self._suppressed.holds(identity, login):
            self._kept.pop(login, None)  # of a former bearer of the login
            if len(self._others) >= MAX_KEPT:
                self._others.clear()
            self._others[login] = identity
            return SUPPRESSED
        if len(self._kept) >= MAX_KEPT:
            self._ask_anew()
        self._others.pop(login, None)
        self._kept[login] = identity
        return KEPT


class NobodySuppressed:
    """A list without entries."""

    version = 0
    any_by_id = False

    def holds(self, identity: str, login: str) -> bool:
        """Never."""
        return False
