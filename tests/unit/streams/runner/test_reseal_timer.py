"""The reseal timer over a log: one look ends, whatever is said meanwhile."""

import asyncio
import time

import pytest

from schemas.sealed import Late, encode_record
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Append, LogRecord
from streams.runner import driver, resealer
from streams.runner.resealer import Resealer
from tests.logs import SCHEDULE, T0
from tests.memory_log import MemoryLog


class TalkingLog(MemoryLog):
    """For each read one more notice is said, as behind a worker that catches up."""

    def say(self, channel: str) -> None:
        _, end = self.ends()
        notice = Late(1, channel, "a", T0 // 1000, end, 1)
        self.put(EPOCH_SEALED, 0, LogRecord(end, b"", encode_record(notice), 0))

    def ends(self) -> tuple[int, int]:
        return 0, len(self.records(EPOCH_SEALED))

    async def read(
        self,
        stream: str,
        partition: int,
        start: int,
        *,
        max_records: int = 1000,
        max_bytes: int = 8 << 20,
        wait_ms: int = 0,
    ) -> list[LogRecord]:
        self.say(f"twitch:id:{self.ends()[1]}")
        return await super().read(
            stream, partition, start, max_records=max_records, max_bytes=max_bytes, wait_ms=wait_ms
        )


async def test_epochs_that_wait_are_bounded_and_all_are_asked_for_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A year's file that is loaded once more is late as a whole."""
    monkeypatch.setattr(resealer, "MAX_WAITING", 10)
    monkeypatch.setattr(driver, "READ_RECORDS", 4)
    log = MemoryLog(1)
    await log.append(CHAT_EVENTS, [Append(0, b"", b"the late record")])
    for number in range(50):
        notice = Late(1, f"twitch:id:{number}", "a", T0 // 1000, 0, 1)
        await log.append(EPOCH_SEALED, [Append(0, b"", encode_record(notice))])
    now_ms = 0
    timer = Resealer(log, SCHEDULE, now_ms=lambda: now_ms)
    assert await timer.round() == 0
    assert timer.waiting() == 12 and timer.held_back_total == 1
    now_ms = time.time_ns() // 1_000_000 + 10 * SCHEDULE.at(0).horizon_s * 1000
    asked = [await timer.round() for _ in range(6)]
    assert sum(asked) == 50 and max(asked) < 30 and asked[-1] == 0


async def test_a_look_ends_though_the_worker_goes_on_speaking() -> None:
    log = TalkingLog(1)
    log.say("twitch:id:0")
    resealer = Resealer(log, SCHEDULE, now_ms=lambda: 0)
    await asyncio.wait_for(resealer.round(), 10)
    assert resealer.waiting() == 1
    await asyncio.wait_for(resealer.round(), 10)
    assert resealer.waiting() == log.ends()[1] - 1  # what was said during the second look waits for the third
