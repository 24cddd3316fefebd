"""What the log in memory does on demand, beyond the port that the conformance suite holds it to: gaps and faults."""

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.port import Append, LogError, LogRecord
from tests.memory_log import MemoryLog


def offsets(records: list[LogRecord]) -> list[int]:
    return [record.offset for record in records]


async def test_a_record_put_further_on_leaves_a_gap_that_reads_step_over() -> None:
    log = MemoryLog(1)
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"0"), Append(0, b"k", b"1")])
    log.put(CHAT_EVENTS, 0, LogRecord(7, b"k", b"7", 123))
    assert await log.append(CHAT_EVENTS, [Append(0, b"k", b"8")]) == [(0, 8)]
    assert offsets(await log.read(CHAT_EVENTS, 0, 0)) == [0, 1, 7, 8]
    assert offsets(await log.read(CHAT_EVENTS, 0, 2, max_records=1)) == [7]
    assert await log.span(CHAT_EVENTS, 0) == (0, 9)
    with pytest.raises(LogError, match="at 9"):
        log.put(CHAT_EVENTS, 0, LogRecord(4, b"k", b"4", 123))


async def test_a_gap_at_the_end_is_in_the_span_and_gives_nothing_to_read() -> None:
    log = MemoryLog(1)
    await log.append(CHAT_EVENTS, [Append(0, b"k", b"0")])
    log.leave_gap(CHAT_EVENTS, 0, offsets=3)
    assert await log.span(CHAT_EVENTS, 0) == (0, 4)
    assert await log.read(CHAT_EVENTS, 0, 1, wait_ms=10) == []


async def test_retention_within_a_gap_moves_the_span_to_where_it_was_asked_for() -> None:
    log = MemoryLog(1)
    log.put(CHAT_EVENTS, 0, LogRecord(0, b"k", b"0", 1))
    log.put(CHAT_EVENTS, 0, LogRecord(5, b"k", b"5", 1))
    log.delete_before(CHAT_EVENTS, 0, 3)
    assert await log.span(CHAT_EVENTS, 0) == (3, 6)
    assert offsets(await log.read(CHAT_EVENTS, 0, 0)) == [5]


@pytest.mark.parametrize("call", ["open", "partitions", "append", "read", "span", "commit", "committed"])
async def test_a_call_named_in_fail_is_refused_until_it_is_not_named(call: str) -> None:
    log = MemoryLog(1)

    async def do() -> None:
        if call == "open":
            await log.open()
        elif call == "append":
            await log.append(CHAT_EVENTS, [Append(0, b"k", b"v")])
        elif call == "read":
            await log.read(CHAT_EVENTS, 0, 0)
        elif call == "commit":
            await log.commit("group", CHAT_EVENTS, 0, 1)
        elif call == "committed":
            await log.committed("group", CHAT_EVENTS, 0)
        elif call == "span":
            await log.span(CHAT_EVENTS, 0)
        else:
            await log.partitions(CHAT_EVENTS)

    log.fail = {call}
    with pytest.raises(LogError, match=f"refuses {call}"):
        await do()
    assert (log.records(CHAT_EVENTS), log.positions) == ([], {})
    log.fail = set()
    await do()
