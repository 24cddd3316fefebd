"""Make records of `chat.events` as live collectors would send them: make_log EVENTS CHANNELS HOURS VIEWERS FILE.

Channels and viewers by Zipf; each channel's events in order of time, 200 an envelope, each envelope with what was
observed up to its last event, so that epochs close while the log is read; at last an end record a channel.
Out: msgpack of [[key, value], …] in order of arrival.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from schemas.columns import EventColumns
from schemas.envelope import MAX_EVENTS, encode

SEED: Final = 20261122
START_MS: Final = 1_760_000_400_000
HOUR_MS: Final = 3_600_000


def records(events: int, channels: int, hours: int, viewers: int) -> list[tuple[bytes, bytes]]:
    """All records, as they would arrive."""
    rng = np.random.default_rng(SEED)
    share = 1 / np.arange(1, channels + 1)
    channel_of = rng.choice(channels, events, p=share / share.sum())
    rank = 1 / np.arange(1, viewers + 1) ** 1.05
    # One hour is asked for where every viewer is to be there: then each speaks at least once.
    viewer_of = np.arange(events) % viewers if hours == 1 else rng.choice(viewers, events, p=rank / rank.sum())
    at = START_MS + np.sort(rng.integers(0, hours * HOUR_MS, events))
    ids = rng.integers(0, 256, (events, 16), np.uint8)
    kind = rng.choice(np.array([0, 1, 3, 4], np.uint8), events, p=[0.974, 0.015, 0.01, 0.001])
    amount = np.where((kind == 0) & (rng.random(events) < 0.02), 100, np.where(kind == 4, 50, 0)).astype(np.uint32)
    arriving: list[tuple[int, bytes, bytes]] = []
    for channel in range(channels):
        rows = np.flatnonzero(channel_of == channel)
        name, login = f"twitch:id:{40_000_000 + channel}", f"channel_{channel:02d}"
        seen_ms, seq = START_MS, 0
        for seq, first in enumerate(range(0, len(rows), MAX_EVENTS)):
            part = rows[first : first + MAX_EVENTS]
            used, who = np.unique(viewer_of[part], return_inverse=True)
            pairs = [(f"twitch:id:{100_000_000 + 7 * one}", f"viewer_{one:06d}") for one in used.tolist()]
            columns = EventColumns(pairs, at[part], ids[part], kind[part], who.astype(np.uint32), amount[part])
            to_ms = max(int(at[part[-1]]) + 1, seen_ms + 1)
            value = encode("events", name, login, "bench", seq, (seen_ms, to_ms, "live"), columns)
            arriving.append((to_ms, name.encode(), value))
            seen_ms = to_ms
        ended_ms = START_MS + hours * HOUR_MS + 1_000
        arriving.append((ended_ms, name.encode(), encode("end", name, login, "bench", seq + 1)))
    arriving.sort(key=lambda one: one[0])
    return [(key, value) for _, key, value in arriving]


if __name__ == "__main__":
    Path(sys.argv[5]).write_bytes(msgspec.msgpack.encode(records(*map(int, sys.argv[1:5]))))
