"""How far each channel's claims are on the log for certain, kept over restarts in a small file. Beside the outbound.

The next session declares the hole from there on. The file may lag behind the log (what is said twice does no harm, live
beats absent) but is never ahead of it.
"""

import os
import threading
from asyncio import to_thread
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
        self._version = 0
        """Rises with every change."""
        self._saved_version = 0
        self._writing = threading.Lock()
        """Held by who writes; guards _saved_version."""

    def load(self) -> dict[str, int]:
        """What an earlier session left; empty where there is none, or where it cannot be read or is of another version
        (counted): the closer declares those holes."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
            if found.v != VERSION:
                raise msgspec.DecodeError(f"version {found.v}")
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError):
            self._metrics.said_unreadable_total += 1
            return {}
        self.said_to_ms = found.said_to_ms
        return dict(self.said_to_ms)

    def durable(self, channel: str, to_ms: int) -> None:
        """An interval that ends then is on the log."""
        if to_ms > self.said_to_ms.get(channel, 0):
            self.said_to_ms[channel] = to_ms
            self._version += 1

    async def save_beside(self) -> None:
        """Write what changed, whole or not at all, in a thread: the disk may take long. Call it every SAVE_MS. Where
        this is cancelled the thread goes on; what it writes never takes the place of something newer."""
        if self._version != self._saved_version:
            await to_thread(self._write, self._version, self._packed())

    def save(self) -> None:
        """The same, and wait for it: for the end, when nothing changes any more."""
        if self._version != self._saved_version:
            self._write(self._version, self._packed())

    def _packed(self) -> bytes:
        newest = max(self.said_to_ms.values())
        self.said_to_ms = {channel: to_ms for channel, to_ms in self.said_to_ms.items() if to_ms > newest - MAX_AGE_MS}
        return msgspec.json.encode(_File(VERSION, self.said_to_ms))

    def _write(self, version: int, packed: bytes) -> None:
        """In any thread. What failed is still unsaved, so the next save tries it again."""
        written = self._path.with_suffix(".new")
        with self._writing:
            if version <= self._saved_version:
                return
            try:
                with written.open("wb") as file:
                    file.write(packed)
                    file.flush()
                    os.fsync(file.fileno())
                written.replace(self._path)
            except OSError:
                self._metrics.said_save_errors_total += 1
            else:
                self._saved_version = version
