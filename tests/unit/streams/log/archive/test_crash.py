"""A crash at every step of a flush, then verify: nothing is lost, nothing is read twice."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.archive import compact, read_records, writing
from streams.log.archive.archiver import Archiver
from streams.log.port import Append, LogRecord
from tests.archive_records import NOON_DAY, record
from tests.memory_log import MemoryLog


class Crash(BaseException):
    """The process is gone: nothing that comes after it in the code may be relied on."""


class Fuse:
    """Lets `steps` calls through, then crashes at each."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            if self.left <= 0:
                raise Crash
            self.left -= 1
            return real(*args, **more)

        return step


async def filled() -> MemoryLog:
    log = MemoryLog(2)
    made = [record(n, "abc"[n % 3]) for n in range(30)]
    await log.append(CHAT_EVENTS, [Append(n % 2, one.key, one.value) for n, one in enumerate(made)])
    return log


def lit(monkeypatch: pytest.MonkeyPatch, fuse: Fuse, log: MemoryLog) -> None:
    """Put the fuse into everything that changes what outlives the process; a dead process does not clean up."""
    for name in ("fsync", "replace", "open"):
        monkeypatch.setattr(os, name, fuse(getattr(os, name)))
    monkeypatch.setattr(writing.FileWriter, "discard", lambda self: self._file.close())
    real = log.commit

    async def commit(*args: Any) -> None:
        fuse(lambda: None)()
        await real(*args)

    monkeypatch.setattr(log, "commit", commit)


async def archive_all(log: MemoryLog, root: Path) -> None:
    keeper = Archiver(log, root)
    while await keeper.step():
        pass
    await keeper.flush()


async def test_a_crash_at_any_step_of_a_flush_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = 0
    for steps in range(200):
        log, root = await filled(), tmp_path / str(steps)
        fuse = Fuse(steps)
        with monkeypatch.context() as patched:
            lit(patched, fuse, log)
            try:
                await archive_all(log, root)
            except Crash:
                crashes += 1
        before: dict[tuple[int, int], LogRecord] = {}
        if root.exists():
            before = {(partition, made.offset): made for partition, made in read_records(root)}
        for (_, _, partition), position in log.positions.items():
            first_missing = next(n for n in range(100) if (partition, n) not in before)
            assert position <= first_missing, "committed before it was durable"
        await archive_all(log, root)
        found = sorted(read_records(root))
        assert found == [(p, made) for p in (0, 1) for made in await log.read(CHAT_EVENTS, p, 0)]
        if fuse.left > 0:
            break
    assert crashes > 20


async def test_a_crash_at_any_step_of_a_compaction_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = 0
    log = await filled()
    expected = [(p, made) for p in (0, 1) for made in await log.read(CHAT_EVENTS, p, 0)]
    for steps in range(200):
        root = tmp_path / str(steps)
        writing.write_archive(root, expected, flush_bytes=4000)
        fuse = Fuse(steps)
        with monkeypatch.context() as patched:
            lit(patched, fuse, log)
            patched.setattr(Path, "unlink", fuse(Path.unlink))
            try:
                compact(root, NOON_DAY)
            except Crash:
                crashes += 1
        assert sorted(read_records(root)) == expected
        compact(root, NOON_DAY)
        assert sorted(read_records(root)) == expected
        if fuse.left > 0:
            break
    assert crashes > 20
