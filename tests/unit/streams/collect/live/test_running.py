"""The back half as a whole: what one session leaves, the next one knows."""

from pathlib import Path

import pytest

from schemas.envelope import decode
from streams.collect.live.running import collecting
from streams.collect.live.spool import SpoolError
from streams.log.port import CHAT_EVENTS
from tests.live import chat
from tests.memory_log import MemoryLog


async def test_a_session_sends_all_at_its_end_and_the_next_knows_what_was_said(tmp_path: Path) -> None:
    log = MemoryLog(1)
    sources = set()
    for session in range(2):
        async with collecting(log, tmp_path) as back:
            now_ms = back.clock_ms()
            back.intake.observing("chan", "22", 1, now_ms - 10_000)
            back.intake.received(1, chat(now_ms - 20, session), now_ms)
        envelopes = [decode(record.value) for record in log.records(CHAT_EVENTS)]
        assert sum(len(one.kind) for one in envelopes) == session + 1
        said = [one.observed[1] for one in envelopes if one.observed is not None]
        assert back.said.load() == {"twitch:id:22": max(said)}
        sources |= {one.source for one in envelopes}
    assert len(sources) == 2


async def test_a_second_collector_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with collecting(MemoryLog(1), tmp_path):
        with pytest.raises(SpoolError, match="in use"):
            async with collecting(MemoryLog(1), tmp_path):
                pass


async def test_what_the_last_session_left_damaged_is_counted(tmp_path: Path) -> None:
    (tmp_path / "said.json").write_bytes(b"{")
    async with collecting(MemoryLog(1), tmp_path) as back:
        assert back.metrics.said_unreadable_total == 1
