"""Records that had to wait are looked at again before they go to the log: their viewers may have opted out meanwhile.

Used by the outbound. In: records of `chat.events` from the spool, or from memory where the list has changed since. Out:
the same without the events of the opted-out. What they say was observed stays, and so does their number, so that
nobody takes them for lost.
"""

from collections.abc import Awaitable, Callable

from schemas.envelope import decode, encode
from schemas.errors import SchemaError
from streams.collect.live.suppression import Dropped, Suppression


async def nothing_to_learn() -> None:
    """Where the list is complete as it is."""


class Recheck:
    """suppression: the Intake's, which knows whose login is whose. caught_up: waits until all is known that was said of
    opt-outs up to now, and raises LogError where that is not to be had."""

    def __init__(
        self, suppression: Suppression, dropped: Dropped, caught_up: Callable[[], Awaitable[None]] = nothing_to_learn
    ) -> None:
        self.caught_up = caught_up
        self._suppression = suppression
        self._dropped = dropped

    @property
    def version(self) -> int:
        """Rises with every change of the list; what was put under the newest need not be looked at again."""
        return self._suppression.version

    def without_suppressed(self, value: bytes) -> bytes:
        """The record as it may go to the log; the same object where nobody in it opted out."""
        try:
            envelope = decode(value)
            events = envelope.columns()
        except SchemaError:
            return value  # the fold makes it a dead letter
        tame = self._suppression.without(events, self._dropped)
        if tame is events:
            return value
        said = envelope.channel, envelope.login, envelope.source, envelope.seq, envelope.observed
        return encode("events", *said, tame) if len(tame) else encode("tick", *said)
