"""Events of viewers who opted out leave no trace: dropped here, before anything is sent. Used by the Intake."""

from typing import Final

import numpy as np

from schemas.columns import EventColumns
from schemas.identity import LOGIN_PREFIX
from streams.collect.cutting import window
from streams.collect.live.port import Suppressed

MAX_KEPT: Final = 65_536
"""Viewers whose answer is kept until the list changes; emptied when reached."""


class Suppression:
    """Asks `Suppressed` once for each viewer and version of the list."""

    def __init__(self, suppressed: Suppressed) -> None:
        self._suppressed = suppressed
        self._version = suppressed.version
        self._answers: dict[tuple[str, str], bool] = {}
        self._ids: dict[str, str] = {}
        """Identity by login, as events showed it: a deletion names its author by login alone."""

    def hides(self, pair: tuple[str, str]) -> bool:
        """Whether that (identity, login) opted out."""
        self._see_version()
        return self._answers[pair] if pair in self._answers else self._ask(pair)

    def without(self, events: EventColumns) -> EventColumns:
        """The events of all others, with the viewers they name alone; the same object where nobody is suppressed."""
        self._see_version()
        answers = self._answers
        hidden = [answers[pair] if pair in answers else self._ask(pair) for pair in events.viewers]
        if not any(hidden):
            return events
        return window(events.take(~np.array(hidden, np.bool_)[events.who]))

    def _see_version(self) -> None:
        if self._version != self._suppressed.version:
            self._version = self._suppressed.version
            self._answers.clear()

    def _ask(self, pair: tuple[str, str]) -> bool:
        identity, login = pair
        hidden = self._suppressed.holds(identity, login)
        if identity.startswith(LOGIN_PREFIX):
            known = self._ids.get(login)
            hidden = hidden or (known is not None and self._suppressed.holds(known, login))
        else:
            if len(self._ids) >= MAX_KEPT:
                self._ids.clear()
            if self._ids.get(login) != identity:
                self._ids[login] = identity
                self._answers.pop((LOGIN_PREFIX + login, login), None)
        if len(self._answers) >= MAX_KEPT:
            self._answers.clear()
        self._answers[pair] = hidden
        return hidden


class NobodySuppressed:
    """A list without entries."""

    version = 0

    def holds(self, identity: str, login: str) -> bool:
        """Never."""
        return False
