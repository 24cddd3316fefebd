"""What a damaged spool has lost makes later claims doubtful: those go to the log as absent. Used by the outbound.

A claim lags a second behind what was heard, more where the connection lags: so the first claims of a channel after a
lost record speak for events that were in it. How many is not known, hence a time that is ample. What another collector
claims for the same time wins, as ever.
"""

from typing import Final

from schemas.envelope import decode, encode
from schemas.errors import SchemaError
from streams.collect.live.counters import OutboundCounters

DOUBT_MS: Final = 60_000
"""After the end of the first claim that comes behind a loss (claims.MAX_LAG_MS: no line counts that is older)."""


class Doubts:
    """By channel (key of the record), once something was lost. At most one entry a channel of the collector."""

    def __init__(self, counters: OutboundCounters) -> None:
        self._counters = counters
        self._until_ms: dict[bytes, int | None] = {}
        """Claims that begin before are doubtful; None: no more."""
        self._any = False

    def lost(self) -> None:
        """Records are gone that came before whatever is asked for from now on."""
        self._until_ms.clear()
        self._any = True

    def without_doubtful(self, key: bytes, value: bytes) -> bytes:
        """The record of `chat.events` as it may go to the log; the same object where all is well. A retry may ask
        again."""
        if not self._any or self._until_ms.get(key, 0) is None:
            return value
        try:
            envelope = decode(value)
            if envelope.observed is None or envelope.observed[2] != "live":
                return value
            start_ms, end_ms, _ = envelope.observed
            until_ms = self._until_ms.setdefault(key, end_ms + DOUBT_MS)
            assert until_ms is not None
            if start_ms >= until_ms:
                if start_ms >= until_ms + DOUBT_MS:  # until then a stretch may follow that lies before the newest
                    self._until_ms[key] = None
                return value
            events = envelope.columns() if envelope.kind else None
        except SchemaError:
            return value  # the fold makes it a dead letter
        self._counters.doubtful_claims += 1
        said = envelope.type, envelope.channel, envelope.login, envelope.source, envelope.seq
        return encode(*said, (start_ms, end_ms, "absent"), events)
