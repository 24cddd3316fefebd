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
"""Viewers whose answer is kept until the list changes, and logins whose id is known. When reached the answers begin
anew; an id is forgotten where its login is not met again before that happens once more."""
KEPT, SUPPRESSED, UNIDENTIFIED = range(3)


class Dropped(Protocol):
    """Who counts what is dropped."""

    suppressed_events: int
    unidentified_events: int


class Suppression:
    """Asks `Suppressed` once for each viewer and version of the list."""

    def __init__(self, suppressed: Suppressed) -> None:
        self._suppressed = suppressed
        self._version = suppressed.version
        self._answers: dict[tuple[str, str], int] = {}
        self._ids: dict[str, str] = {}
        """Identity by login, as events showed it."""
        self._older_ids: dict[str, str] = {}

    @property
    def version(self) -> int:
        """Rises with every change of the list."""
        return self._suppressed.version

    def hides(self, identity: str, login: str) -> bool:
        """Whether that viewer opted out, or may have."""
        self._see_version()
        pair = identity, login
        return (self._answers[pair] if pair in self._answers else self._ask(pair)) != KEPT

    def without(self, events: EventColumns, dropped: Dropped) -> EventColumns:
        """The events of all others, with the viewers they name alone; the same object where nobody is suppressed."""
        self._see_version()
        answers = self._answers
        of_viewers = [answers[pair] if pair in answers else self._ask(pair) for pair in events.viewers]
        if not any(of_viewers):
            return events
        of_events = np.array(of_viewers, np.uint8)[events.who]
        dropped.suppressed_events += int(np.count_nonzero(of_events == SUPPRESSED))
        dropped.unidentified_events += int(np.count_nonzero(of_events == UNIDENTIFIED))
        return window(events.take(of_events == KEPT))

    def _see_version(self) -> None:
        if self._version != self._suppressed.version:
            self._version = self._suppressed.version
            self._answers.clear()

    def _ask(self, pair: tuple[str, str]) -> int:
        identity, login = pair
        if identity.startswith(LOGIN_PREFIX):
            known = self._ids.get(login) or self._older_ids.get(login)
            if self._suppressed.holds(known or identity, login):
                return SUPPRESSED
            return UNIDENTIFIED if known is None and self._suppressed.any_by_id else KEPT
        if len(self._answers) >= MAX_KEPT or len(self._ids) >= MAX_KEPT:
            # Both: a viewer whose answer is kept is not asked about again, and would never be learned anew.
            self._answers.clear()
            self._older_ids, self._ids = self._ids, {}
        self._ids[login] = identity
        self._answers[pair] = SUPPRESSED if self._suppressed.holds(identity, login) else KEPT
        return self._answers[pair]


class NobodySuppressed:
    """A list without entries."""

    version = 0
    any_by_id = False

    def holds(self, identity: str, login: str) -> bool:
        """Never."""
        return False
