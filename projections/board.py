"""One channel's open hour, counted as it happens; pure. In: columns of events. Out: totals and the top viewers.

For people to look at: it takes each event as it comes, knows no duplicates within an envelope, and no seal rests on it.
Bounded: the first MAX_TRACKED_VIEWERS viewers are counted exactly; events of all later ones only in sum, so that no
untracked viewer has more events than `untracked_events`.
"""

from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

import numpy as np
from numpy.typing import NDArray

from projections.rows import BoardViewer
from schemas.columns import GIFT, LAST_FOLDED_KIND, MESSAGE, RAID, RESUB, SUB, EventColumns
from schemas.identity import ANONYMOUS_GIFTER
from schemas.policy import Policy

MAX_TRACKED_VIEWERS: Final = 100_000
"""Viewers of one channel's hour with counts of their own; about 25 MB when full."""
TOP_VIEWERS: Final = 20


@dataclass(slots=True)
class _Tracked:
    login: str = ""
    messages: int = 0
    weight_centi: int = 0


class OpenBoard:
    """Counts of one channel and epoch. first_offset: the record that opened it; login, observed_to_ms: as its newest
    record with events said."""

    __slots__ = (
        "_viewers",
        "first_offset",
        "last_event_ms",
        "login",
        "messages",
        "observed_to_ms",
        "untracked_events",
        "weight_centi",
    )

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self.login, self.observed_to_ms = "", 0
        self.messages = self.untracked_events = self.weight_centi = 0
        self.last_event_ms = 0
        self._viewers: dict[str, _Tracked] = {}

    @property
    def participants(self) -> int:
        """Tracked viewers."""
        return len(self._viewers)

    def count(self, events: EventColumns, policy: Policy) -> None:
        """Add events, all of this board's epoch. Excluded viewers and kinds that are not folded are passed over."""
        excluded = [identity == ANONYMOUS_GIFTER or login in policy.excluded for identity, login in events.viewers]
        folded = (events.kind <= LAST_FOLDED_KIND) & ~np.array(excluded, np.bool_)[events.who]
        events = events.take(folded)
        if len(events) == 0:
            return
        self.last_event_ms = max(self.last_event_ms, int(events.at.max()))
        size = len(events.viewers)
        said = np.bincount(events.who[events.kind == MESSAGE], minlength=size)
        weight = np.zeros(size, np.int64)
        np.add.at(weight, events.who, _weights_beside_presence(events, policy))
        self.messages += int(said.sum())
        did = np.bincount(events.who, minlength=size)
        for who in np.flatnonzero(did).tolist():
            identity, login = events.viewers[who]
            viewer = self._tracked(identity, policy.weights_centi.presence)
            self.weight_centi += int(weight[who])
            if viewer is None:
                self.untracked_events += int(did[who])
            else:
                viewer.login = login
                viewer.messages += int(said[who])
                viewer.weight_centi += int(weight[who])

    def _tracked(self, identity: str, presence_centi: int) -> _Tracked | None:
        """The viewer's counts, made at the first event; None beyond the bound."""
        viewer = self._viewers.get(identity)
        if viewer is None and len(self._viewers) < MAX_TRACKED_VIEWERS:
            viewer = self._viewers[identity] = _Tracked(weight_centi=presence_centi)
            self.weight_centi += presence_centi
        return viewer

    def top(self) -> list[BoardViewer]:
        """The heaviest tracked viewers, heaviest first; of equal ones more messages first, then by identity."""
        ranked = nsmallest(
            TOP_VIEWERS, self._viewers.items(), key=lambda item: (-item[1].weight_centi, -item[1].messages, item[0])
        )
        return [
            BoardViewer(identity, viewer.login, viewer.messages, viewer.weight_centi) for identity, viewer in ranked
        ]


def _weights_beside_presence(events: EventColumns, policy: Policy) -> NDArray[np.int64]:
    """(n,) hundredths that each event adds to its viewer, presence left out."""
    weights, amount = policy.weights_centi, events.amount.astype(np.int64)
    each = np.zeros(len(events), np.int64)
    for kind, centi in ((SUB, weights.sub), (RESUB, weights.resub), (GIFT, weights.gift)):
        each[events.kind == kind] = centi
    cheers, raids = events.kind == MESSAGE, events.kind == RAID
    each[cheers] = amount[cheers] * weights.bit
    each[raids] = amount[raids] * weights.raid_viewer
    return each
