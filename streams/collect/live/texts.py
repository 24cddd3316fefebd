"""Message text on its way to `chat.text`, only where the operator keeps it: TWZRD_KEEP_TEXT=on.

Stands beside the Intake, which hands over each message that became an event, after it has dropped the opted-out. Text
is an extra, not the record: where the log is away or slow it is dropped and counted, never spooled to disk.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from schemas import text as texts
from schemas.errors import SchemaError
from streams.collect.live.port import Suppressed
from streams.collect.live.rechecking import nothing_to_learn
from streams.collect.live.suppression import NobodySuppressed
from streams.log.port import CHAT_TEXT, Append, Log, LogError

logger: Final = logging.getLogger(__name__)

SEND_EVERY_S: Final = 1.0
ANSWER_S: Final = 10.0
"""A log that does not answer by then counts as away."""
MAX_WAITING: Final = 20_000
"""Messages that wait to be sent; of more the new ones are dropped."""


@dataclass(slots=True)
class TextCounters:
    """What became of messages."""

    sent_total: int = 0
    dropped_total: int = 0
    """At MAX_WAITING, while the log was away, or of no documented form."""
    suppressed_total: int = 0
    """Of viewers who opted out while their messages waited."""


class TextSender:
    """Gathers messages by channel and appends them once a second. `put` never waits and never raises."""

    def __init__(
        self,
        log: Log,
        suppressed: Suppressed | None = None,
        caught_up: Callable[[], Awaitable[None]] = nothing_to_learn,
    ) -> None:
        """caught_up: of `suppressed`, see Recheck: what waited is held against the list as it is now."""
        self.counters = TextCounters()
        self._suppressed = suppressed or NobodySuppressed()
        self._caught_up = caught_up
        self._log = log
        self._waiting: dict[tuple[str, str], list[texts.Line]] = {}
        self._count = 0

    def put(
        self, channel: str, channel_login: str, event_id: bytes, at_ms: int, viewer: str, login: str, text: str
    ) -> None:
        """Take over one message of `viewer` (an identity) in that channel (an identity)."""
        if self._count >= MAX_WAITING:
            self.counters.dropped_total += 1
            return
        plain = text.replace("\0", " ")[: texts.MAX_TEXT_CHARS]
        line = texts.Line(event_id, at_ms, viewer, login, plain)
        self._waiting.setdefault((channel, channel_login), []).append(line)
        self._count += 1

    async def run(self) -> None:
        """Send what waits, once a second, until cancelled."""
        while True:
            await self.flush()
            await asyncio.sleep(SEND_EVERY_S)

    async def flush(self) -> None:
        """Send what waits now."""
        if not self._count:
            return
        count = 0
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._caught_up()
                appends, count = self._take()
                if appends:
                    await self._log.append(CHAT_TEXT, appends)
        except (LogError, TimeoutError) as lost:
            if not count:  # it did not come to taking them
                count, self._waiting, self._count = self._count, {}, 0
            self.counters.dropped_total += count
            logger.warning("the text of %d messages was not kept, the log is away: %s", count, lost or "no answer")
        else:
            self.counters.sent_total += count

    def _take(self) -> tuple[list[Append], int]:
        """What waits, as records, and how many messages that is."""
        waiting, count = self._waiting, self._count
        self._waiting, self._count = {}, 0
        appends = []
        for (channel, login), held in waiting.items():
            lines = [one for one in held if not self._suppressed.holds(one.viewer, one.login)]
            self.counters.suppressed_total += len(held) - len(lines)
            count -= len(held) - len(lines)
            for start in range(0, len(lines), texts.MAX_LINES):
                piece = lines[start : start + texts.MAX_LINES]
                try:
                    appends.append(Append(None, channel.encode(), texts.encode(channel, login, piece)))
                except SchemaError as error:
                    count -= len(piece)
                    self.counters.dropped_total += len(piece)
                    logger.warning("%d messages were not kept: %s", len(piece), error)
        return appends, count
