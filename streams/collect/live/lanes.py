"""What waits in memory for the log, in lanes: records of one lane go there one after the other. Within the outbound.

In: records of a channel, always into the same lane, and dead letters into one of their own. Out: the head of a lane,
as much as one call of append takes; it stays there until that is answered.
"""

import asyncio
import zlib
from collections import deque
from typing import Final, NamedTuple

from streams.log.port import CHAT_EVENTS, DEAD

STREAMS: Final = (CHAT_EVENTS, DEAD)
"""A lane, and a record of the spool, names its stream by the place here."""
EVENTS: Final = 0
LETTERS: Final = 1
LANES: Final = 4
"""Of events."""
MAX_QUEUED_BYTES: Final = 32 << 20
"""Of all lanes together."""
BATCH_RECORDS: Final = 500
BATCH_BYTES: Final = 1 << 20


class Record(NamedTuple):
    """said_to_ms: where the interval ends that it states, Twitch's ms. list_version: which opt-outs its events were
    held against."""

    key: bytes
    value: bytes
    said_to_ms: int | None
    list_version: int

    @property
    def size_bytes(self) -> int:
        """What it counts for at the bounds."""
        return len(self.key) + len(self.value)


class Lane:
    """Records of one stream whose order matters among each other."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.records: deque[Record] = deque()
        self.in_flight = 0
        """Records at the head that a call of append has taken; they stay until it is answered."""
        self.filled = asyncio.Event()

    def head(self) -> list[Record]:
        """The next records to send in one call: at most BATCH_RECORDS, and BATCH_BYTES unless the first is larger."""
        batch: list[Record] = []
        size_bytes = 0
        for record in self.records:
            size_bytes += record.size_bytes
            if batch and (len(batch) >= BATCH_RECORDS or size_bytes > BATCH_BYTES):
                break
            batch.append(record)
        return batch


def lane_number(key: bytes) -> int:
    """Which of the LANES a channel's records take."""
    return zlib.crc32(key) % LANES
