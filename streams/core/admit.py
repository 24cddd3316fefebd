"""Which events of a record are folded, and into which epochs (spec: Time). The same for first folds and reseals."""

from typing import Final

import numpy as np

from schemas.columns import EventColumns, distinct
from schemas.envelope import Envelope

QUARANTINE_MS: Final = 60_000
"""An event at or after its own record's to_ms plus this is quarantined: one wild time stamp moves nothing."""


def admitted(envelope: Envelope, events: EventColumns, length_ms: int) -> tuple[list[tuple[int, EventColumns]], int]:
    """Events by epoch start (ms), ascending, and how many were quarantined."""
    quarantined = 0
    if not len(events):
        return [], 0
    if envelope.observed is not None:
        limit_ms = envelope.observed[1] + QUARANTINE_MS
        if events.span_ms[1] >= limit_ms:
            tame = events.at < limit_ms
            quarantined = len(events) - int(np.count_nonzero(tame))
            events = events.take(tame)
            if not len(events):
                return [], quarantined
    first, last = events.span_ms
    if first // length_ms == last // length_ms:
        return [(first - first % length_ms, events)], quarantined
    epochs = events.at // length_ms
    return [(int(epoch) * length_ms, events.take(epochs == epoch)) for epoch in distinct(epochs)], quarantined
