"""How far each channel's claims are on the log for certain, kept over restarts in a small file. Beside the outbound.

The next session declares the hole from there on. The file may lag behind the log (what is said twice does no harm, live
beats absent) but is never ahead of it.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from streams.collect.live.metrics import CollectMetrics

VERSION: Final = 1
SAVE_MS: Final = 2_000
MAX_AGE_MS: Final = 31 * 86_400_000
"""Channels not collected for so long are forgotten."""


class _File(msgspec.Struct):
    v: int
    said_to_ms: dict[str, int]


class SaidFile:
    """`said_to_ms` by channel identity, in Twitch's time."""

    def __init__(self, path: Path, metrics: CollectMetrics) -> None:
        self.said_to_ms: dict[str, int] = {}
        self._path = path
        self._metrics = metrics
        self._changed = False

    def load(self) -> dict[str, int]:
        """What an earlier session left; empty where there is none or it cannot be read (counted)."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError):
            self._metrics.said_unreadable_total += 1
            return {}
        self.said_to_ms = found.said_to_ms if found.v == VERSION else {}
        return dict(self.said_to_ms)

    def durable(self, channel: str, to_ms: int) -> None:
        """An interval that ends then is on the log."""
        if to_ms > self.said_to_ms.get(channel, 0):
            self.said_to_ms[channel] = to_ms
            self._changed = True

    def save(self) -> None:
        """Write what changed, whole or not at all; call it every SAVE_MS and at the end."""
        if not self._changed:
            return
        self._changed = False
        newest = max(self.said_to_ms.values())
        kept = {channel: to_ms for channel, to_ms in self.said_to_ms.items() if to_ms > newest - MAX_AGE_MS}
        self.said_to_ms = kept
        written = self._path.with_suffix(".new")
        try:
            with written.open("wb") as file:
                file.write(msgspec.json.encode(_File(VERSION, kept)))
                file.flush()
                os.fsync(file.fileno())
            written.replace(self._path)
        except OSError:
            self._metrics.said_save_errors_total += 1
            self._changed = True
