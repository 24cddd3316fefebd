"""What is kept of claims over restarts: whole, never ahead, and nothing older takes the place of something newer."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.said import MAX_AGE_MS, SaidFile
from tests.live import T0_MS


def test_it_outlives_a_restart_is_never_ahead_and_forgets_the_old(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    metrics = CollectMetrics()
    said = SaidFile(path, metrics)
    assert said.load() == {}
    said.durable("twitch:id:1", T0_MS)
    said.durable("twitch:id:1", T0_MS - 5)
    said.durable("twitch:id:2", T0_MS - MAX_AGE_MS)
    assert not path.exists()
    said.save()
    said.save()
    assert SaidFile(path, metrics).load() == {"twitch:id:1": T0_MS}
    path.write_bytes(path.read_bytes()[:-3])
    assert metrics.said_unreadable_total == 0
    assert SaidFile(path, metrics).load() == {}
    assert metrics.said_unreadable_total == 1
    path.write_bytes(b'{"v":2,"said_to_ms":{"twitch:id:1":1760000400000}}')
    assert SaidFile(path, metrics).load() == {}
    assert metrics.said_unreadable_total == 2, "another version means we do not know what it says"


async def test_the_loop_goes_on_while_the_disk_takes_its_time_and_the_last_save_is_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, metrics = tmp_path / "said.json", CollectMetrics()
    said, began, go_on, real = SaidFile(path, metrics), threading.Event(), threading.Event(), os.fsync

    def slow(file: int) -> None:
        began.set()
        assert go_on.wait(30)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    said.durable("twitch:id:1", T0_MS)
    saving = asyncio.create_task(said.save_beside())
    await asyncio.to_thread(began.wait, 30)  # a save that blocks the loop fails here, in 30 s
    said.durable("twitch:id:1", T0_MS + 1)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    assert not path.exists(), "the thread is still at it"
    last = asyncio.create_task(asyncio.to_thread(said.save))
    go_on.set()
    await last
    assert SaidFile(path, metrics).load() == {"twitch:id:1": T0_MS + 1}
    said._write(1, b"of a thread that came late")
    assert SaidFile(path, metrics).load() == {"twitch:id:1": T0_MS + 1}


async def test_what_the_disk_refused_is_counted_and_tried_again(tmp_path: Path) -> None:
    folder, metrics = tmp_path / "later", CollectMetrics()
    said = SaidFile(folder / "said.json", metrics)
    said.durable("twitch:id:1", T0_MS)
    await said.save_beside()
    assert metrics.said_save_errors_total == 1
    folder.mkdir()
    await said.save_beside()
    assert SaidFile(folder / "said.json", metrics).load() == {"twitch:id:1": T0_MS}
    assert metrics.said_save_errors_total == 1
