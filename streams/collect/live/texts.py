"""Message text on its way to `chat.text`, only where the operator keeps it: TWZRD_KEEP_TEXT=on.

Stands beside the Intake, which hands over each message that became an event, after it has dropped the opted-out. Text
is an extra, not the record: where the log is away or slow it is dropped and counted, never spooled to disk.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from schemas import text as texts
from schemas.errors import SchemaError
from streams.collect.live.port import Suppressed
from streams.collect.live.suppression import NobodySuppressed
from streams.log.port import CHAT_TEXT, Append, Log, LogError

logger: Final = logging.getLogger(__name__)

SEND_EVERY_S: Final = 1.0
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

    def __init__(self, log: Log, suppressed: Suppressed | None = None) -> None:
        self.counters = TextCounters()
        self._suppressed = suppressed or NobodySuppressed()
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
        if not appends:
            return
        try:
            await self._log.append(CHAT_TEXT, appends)
        except LogError as lost:
            self.counters.dropped_total += count
            logger.warning("the text of %d messages was not kept, the log is away: %s", count, lost)
        else:
            self.counters.sent_total += count
