"""NDJSON files, one for each UTC day, that end where the database says: a file's size is stored with the position.

In: lines by day, in the projection's transaction. Out: files. Bytes are written and synced first, then the transaction
commits the new size; what a crash or a rollback left behind a stored size is cut off before the next write. So each
line is there once, and never torn. Days that are over are compressed (zstd) and old ones deleted: both by `tidy`.
"""

import asyncio
import fcntl
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import zstandard

from projections.errors import ProjectionError
from projections.sql import sql

QUIET_S: Final = 3_600.0
"""A past day is compressed when nothing was written to it for so long."""
_PLAIN: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.ndjson")
_ANY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(\.\d+)?\.ndjson(\.zst|\.closing|\.partial)?")


def day_of(time_ms: int) -> str:
    """The UTC day of a time, as files are named."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


@dataclass(slots=True)
class DayFileCounters:
    """What happened to the files."""

    written_bytes_total: int = 0
    cut_bytes_total: int = 0
    """Behind a stored size: written by a step that never became durable."""
    compressed_total: int = 0
    deleted_total: int = 0


class DayFiles:
    """One folder, one process. The folder is made with mode 0700, files with 0600: they name people."""

    def __init__(self, folder: Path, name: str) -> None:
        """name: of the set of files in the database. Raises ProjectionError where another process writes there."""
        self.counters = DayFileCounters()
        self._folder = folder
        self._name = name
        self._sizes: dict[str, int] | None = None
        self._lock = -1
        self._one_at_a_time = asyncio.Lock()

    def open(self) -> None:
        """Take the folder. Raises ProjectionError naming it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise ProjectionError(
                f"day files in {self._folder} cannot be written ({error.strerror}); does another `twzrd raw` run, "
                "or is the folder another user's? TWZRD_RAW_DIR names another one"
            ) from error

    def close(self) -> None:
        """Let the folder go; safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def forget(self) -> None:
        """The last write did not become durable: sizes are read from the database again."""
        self._sizes = None

    async def write(self, connection: Any, days: Mapping[str, bytes]) -> None:
        """Append whole lines to days' files and their new sizes to the caller's transaction."""
        async with self._one_at_a_time:
            await self._write(connection, days)

    async def _write(self, connection: Any, days: Mapping[str, bytes]) -> None:
        if self._sizes is None:
            rows = await connection.fetch(sql("day_file_sizes"), self._name)
            self._sizes = {row["file"]: row["size_bytes"] for row in rows}
        for day, lines in days.items():
            file = f"{day}.ndjson"
            self._sizes[file] = await asyncio.to_thread(self._append, file, self._sizes.get(file), lines)
            await connection.execute(sql("set_day_file_size"), self._name, file, self._sizes[file])
        self.counters.written_bytes_total += sum(map(len, days.values()))

    def _append(self, file: str, stored: int | None, lines: bytes) -> int:
        with open(self._folder / file, "ab", opener=_private) as opened:
            there = opened.tell()
            # A file that the database does not know keeps its whole lines: somebody made the database anew.
            size = min(there, stored) if stored is not None else _whole_lines(self._folder / file, there)
            if size < there:
                opened.truncate(size)
                self.counters.cut_bytes_total += there - size
            opened.write(lines)
            opened.flush()
            os.fsync(opened.fileno())
        return size + len(lines)

    async def tidy(self, connection: Any, now_ms: int, keep_days: int) -> None:
        """Compress past days and delete those of more than keep_days ago. Call it now and then."""
        async with self._one_at_a_time:
            await self._tidy(connection, now_ms, keep_days)

    async def _tidy(self, connection: Any, now_ms: int, keep_days: int) -> None:
        today = day_of(now_ms)
        oldest = (datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=keep_days)).strftime("%Y-%m-%d")
        for path in sorted(self._folder.iterdir()):
            found = _ANY.fullmatch(path.name)
            if found is None:
                continue
            if found[1] < oldest:
                path.unlink()
                self.counters.deleted_total += 1
                await self._forget_size(connection, path.name)
            elif path.suffix == ".closing":
                await asyncio.to_thread(self._compress, path)
            elif _PLAIN.fullmatch(path.name) and found[1] < today and time.time() - path.stat().st_mtime > QUIET_S:
                closing = self._free_name(found[1])
                path.rename(closing)
                await self._forget_size(connection, path.name)
                await asyncio.to_thread(self._compress, closing)

    async def _forget_size(self, connection: Any, file: str) -> None:
        await connection.execute(sql("forget_day_file"), self._name, file)
        if self._sizes is not None:
            self._sizes.pop(file, None)

    def _free_name(self, day: str) -> Path:
        """A day that is written to again after it was compressed gets one more part."""
        part = 0
        while any((self._folder / f"{day}.{part}.ndjson{end}").exists() for end in (".zst", ".closing")):
            part += 1
        return self._folder / f"{day}.{part}.ndjson.closing"

    def _compress(self, closing: Path) -> None:
        """A crash anywhere leaves the .closing file, which is done again, or nothing to do."""
        partial = closing.with_suffix(".partial")
        with open(closing, "rb") as source, open(partial, "wb", opener=_private) as target:
            zstandard.ZstdCompressor(level=6, write_checksum=True).copy_stream(source, target)
            target.flush()
            os.fsync(target.fileno())
        partial.rename(closing.with_suffix(".zst"))
        closing.unlink()
        self.counters.compressed_total += 1


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _whole_lines(path: Path, size: int) -> int:
    """The size of a file without its torn last line."""
    with open(path, "rb") as file:
        while size:
            start = max(0, size - 65_536)
            file.seek(start)
            newline = file.read(size - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            size = start
    return 0
