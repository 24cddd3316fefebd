"""Records of chat.events for tests of the archive."""

import random

import numpy as np

from schemas.columns import EventColumns
from schemas.envelope import encode
from streams.log.port import LogRecord

DAY_MS = 86_400_000
NOON_MS = 1_780_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
NOON_DAY = "2026-05-28"
Pair = tuple[int, LogRecord]


def record(
    offset: int, login: str = "ann", *, channel: str | None = None, at_ms: int = NOON_MS, events: int = 3, pad: int = 0
) -> LogRecord:
    """One readable record; `pad` makes it about that many bytes larger, incompressibly."""
    channel = channel or f"twitch:login:{login}"
    rng = np.random.default_rng(offset)
    columns = EventColumns(
        [("twitch:id:7", "viewer")],
        np.arange(at_ms, at_ms + events, dtype=np.int64),
        rng.integers(0, 256, (events, 16), dtype=np.uint8),
        np.zeros(events, np.uint8),
        np.zeros(events, np.uint32),
        np.zeros(events, np.uint32),
    )
    source = "s" + rng.bytes(pad // 2).hex()
    value = encode("events", channel, login, source, offset, (at_ms, at_ms + events, "live"), columns)
    return LogRecord(offset, channel.encode(), value, at_ms + 1000)


def mixed_log(seed: int, records: int = 60) -> list[Pair]:
    """Records of several channels, days and partitions, some unreadable, with gaps between offsets."""
    rng = random.Random(seed)
    logins = ["ann", "bob", "Ünï/../x", "c" * 300]
    pairs: list[Pair] = []
    offsets = [0, 0, 0]
    for _ in range(records):
        channel = rng.randrange(len(logins))
        partition = channel % 3
        offset = offsets[partition]
        offsets[partition] += rng.choice([1, 1, 1, 5])
        if rng.random() < 0.1:
            junk = LogRecord(
                offset, f"twitch:login:{logins[channel]}".encode(), rng.randbytes(rng.randrange(50)), NOON_MS
            )
            pairs.append((partition, junk))
            continue
        at_ms = NOON_MS + rng.randrange(-2 * DAY_MS, 2 * DAY_MS)
        pairs.append((partition, record(offset, logins[channel], at_ms=at_ms, events=rng.randrange(1, 5))))
    return pairs
