"""Where the wanted channels of a collector come from, other than the control stream: the command line, or a file."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from schemas.errors import TwzrdError
from streams.collect.live.control import ControlView
from streams.collect.live.port import WantedChannels

logger: Final = logging.getLogger(__name__)

LOOK_AT_FILE_S: Final = 2.0
MAX_FILE_BYTES: Final = 4 << 20
NO_STAMP: Final = (0, -1)
"""Of no file."""


class ChannelsFileError(TwzrdError):
    """The file with the channels cannot be used; the message says what to change."""


class FixedChannels:
    """Implements port.WantedChannels: one set for good."""

    def __init__(self, logins: frozenset[str]) -> None:
        self._logins = logins

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The set, and then nothing more."""
        yield self._logins
        await asyncio.Event().wait()


class ChannelsFile:
    """Implements port.WantedChannels: a file with a login a line, `#` begins a remark; read again when it changes.

    A change is taken when two looks in a row, LOOK_AT_FILE_S apart, find the same: an editor that truncates the file
    and writes it anew would else part channels for a moment, which the pacing of JOINs takes long to mend."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken = self._seen = self._stamp()
        self.logins = self._seen_logins = self._read()

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The set at once, and at every change of the file; while it cannot be read the last one holds."""
        yield self.logins
        while True:
            await asyncio.sleep(LOOK_AT_FILE_S)
            try:
                logins = self.look()
            except ChannelsFileError as error:
                logger.warning("%s; the channels stay as they were", error)
                continue
            if logins is not None:
                logger.info("%d channels are wanted by %s now", len(logins), self._path)
                yield logins

    def look(self) -> frozenset[str] | None:
        """The new set, where the file has changed and is as it was at the last look. Raises ChannelsFileError."""
        before = self._seen, self._seen_logins
        self._seen = NO_STAMP  # until it was read
        stamp = self._stamp()
        if stamp == self._taken:
            return None
        self._seen_logins = self._read()
        self._seen = stamp
        if (stamp, self._seen_logins) != before:
            return None
        self._taken, self.logins = stamp, self._seen_logins
        return self.logins

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise ChannelsFileError(f"channels file {self._path}: {error.strerror}; check the path") from error
        return found.st_mtime_ns, found.st_size

    def _read(self) -> frozenset[str]:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise ChannelsFileError(
                    f"channels file {self._path} is over {MAX_FILE_BYTES} bytes; name fewer channels, one login a line"
                )
            text = content.decode()
        except OSError as error:
            raise ChannelsFileError(f"channels file {self._path}: {error.strerror}; check the path") from error
        except UnicodeDecodeError as error:
            raise ChannelsFileError(f"channels file {self._path} is not text; give one login a line") from error
        words = (line.partition("#")[0].strip().lower() for line in text.splitlines())
        return frozenset(word for word in words if word)


class RenamesFollowed:
    """Implements port.WantedChannels: another list, each of its logins as it is called now by what `control` says."""

    def __init__(self, channels: WantedChannels, view: ControlView) -> None:
        self._channels = channels
        self._view = view

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The set at once, and at every change of the list or of a login of it."""
        changes = self._channels.changes()
        logins, told = await anext(changes), None
        listed = asyncio.ensure_future(anext(changes))
        try:
            while True:
                news = asyncio.ensure_future(self._view.news.wait())
                now = frozenset(map(self._view.sets.renames.bearer_of, logins))
                try:
                    if now != told:
                        told = now
                        yield now
                    await asyncio.wait((listed, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                if listed.done():
                    logins = listed.result()
                    listed = asyncio.ensure_future(anext(changes))
        finally:
            listed.cancel()
