"""The outbound: everything that was put reaches the log, a channel's records in order, whatever the log does."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from schemas.envelope import encode
from streams.collect.live.counters import OutboundCounters
from streams.collect.live.outbound import LogOutbound
from streams.collect.live.spool import Spool
from streams.log.port import CHAT_EVENTS, DEAD, Append, LogError
from tests.memory_log import MemoryLog

CHANNELS = [f"twitch:id:{number}" for number in range(9)]


class FaultyLog(MemoryLog):
    """A log that is away, loses answers, or does not answer, on demand."""

    def __init__(self) -> None:
        super().__init__(1)
        self.away = False
        self.hangs = False
        self.loses_answers = 0.0
        self.chance = random.Random(1)

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise LogError("the log is away")
        placed = await super().append(stream, records)
        if self.chance.random() < self.loses_answers:
            raise LogError("the answer was lost")
        return placed

    def first_times(self) -> dict[str, list[int]]:
        """Each channel's numbers in the order in which they first came."""
        found: dict[str, list[int]] = {}
        for one in self.records(CHAT_EVENTS):
            numbers = found.setdefault(one.key.decode(), [])
            number = int(one.value.partition(b"#")[2])
            if number not in numbers:
                numbers.append(number)
        return found


@asynccontextmanager
async def running(outbound: LogOutbound) -> AsyncIterator[LogOutbound]:
    task = asyncio.create_task(outbound.run())
    try:
        yield outbound
    finally:
        await outbound.close(0.01)
        await task


def outbound_on(
    log: FaultyLog, folder: Path | None, *, spool_bytes: int = 1 << 20, max_queued_bytes: int = 1 << 20
) -> LogOutbound:
    counters = OutboundCounters()
    spool = None
    if folder is not None:
        spool = Spool(folder, counters, max_bytes=spool_bytes, segment_bytes=4_000)
        spool.open()
    return LogOutbound(log, spool, counters, answer_s=0.2, retry_s=0.02, max_queued_bytes=max_queued_bytes)


def put(outbound: LogOutbound, number: int) -> bool:
    return outbound.put(CHANNELS[number % len(CHANNELS)], b"x" * 50 + b"#%d" % number, 1)


def expected(numbers: Sequence[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number in numbers:
        found.setdefault(CHANNELS[number % len(CHANNELS)], []).append(number)
    return found


async def test_a_log_that_is_well_gets_everything_in_order_and_nothing_touches_the_disk(tmp_path: Path) -> None:
    log = FaultyLog()
    async with running(outbound_on(log, tmp_path)) as outbound:
        for number in range(5_000):
            assert put(outbound, number)
        assert outbound.put_dead(b"letter")
        await outbound.flushed()
    assert log.first_times() == expected(range(5_000))
    assert len(log.records(CHAT_EVENTS)) == 5_000
    assert [one.value for one in log.records(DEAD)] == [b"letter"]
    assert outbound.counters.spooled_records == 0
    assert outbound.counters.spool_bytes == 0


async def test_faults_of_all_kinds_lose_nothing_and_change_no_order(tmp_path: Path, seed: int) -> None:
    log = FaultyLog()
    log.chance = chance = random.Random(seed)
    number = 0
    async with running(outbound_on(log, tmp_path, max_queued_bytes=20_000)) as outbound:
        for _ in range(40):
            log.away, log.hangs = chance.random() < 0.3, chance.random() < 0.1
            log.loses_answers = chance.choice((0, 0, 0.5))
            for _ in range(chance.randrange(60)):
                if put(outbound, number):
                    number += 1
            await asyncio.sleep(chance.choice((0, 0.005, 0.05)))
        log.away = log.hangs = False
        log.loses_answers = 0
        await asyncio.wait_for(outbound.flushed(), 30)
    assert number > 500
    assert log.first_times() == expected(range(number))
    assert outbound.counters.outages > 0
    assert outbound.counters.append_errors > 0
    assert outbound.counters.queued_bytes == outbound.counters.queued_records == outbound.counters.spool_bytes == 0
    assert not outbound.counters.spooling


async def test_while_the_log_is_away_records_are_on_disk_and_the_next_start_sends_them_first(tmp_path: Path) -> None:
    log = FaultyLog()
    log.away = True
    async with running(outbound_on(log, tmp_path)) as outbound:
        for number in range(300):
            assert put(outbound, number)
        await asyncio.sleep(0)  # the rest goes to the disk when `run` ends
    assert outbound.counters.spooled_records == 300
    assert outbound.counters.lost_at_close == 0
    _release(outbound)
    log.away = False
    async with running(outbound_on(log, tmp_path)) as again:
        for number in range(300, 400):
            assert put(again, number)
        await again.flushed()
    assert log.first_times() == expected(range(400))
    assert again.counters.replayed_records >= 300


def _release(outbound: LogOutbound) -> None:
    assert outbound._spool is not None
    outbound._spool.close()


async def test_what_is_left_at_the_end_goes_to_the_spool(tmp_path: Path) -> None:
    log = FaultyLog()
    log.hangs = True
    async with running(outbound_on(log, tmp_path)) as outbound:
        for number in range(50):
            put(outbound, number)
    _release(outbound)
    log.hangs = False
    async with running(outbound_on(log, tmp_path)) as again:
        await again.flushed()
    assert log.first_times() == expected(range(50))


async def test_only_when_memory_and_disk_are_full_records_are_refused_and_never_one_before(tmp_path: Path) -> None:
    log = FaultyLog()
    log.away = True
    outbound = outbound_on(log, tmp_path, spool_bytes=10_000, max_queued_bytes=5_000)
    async with running(outbound):
        taken = []
        for number in range(2_000):
            if put(outbound, number):
                taken.append(number)
            await asyncio.sleep(0)
        assert outbound.counters.refused_records == 2_000 - len(taken)
        assert 150 < len(taken) < 2_000 * 0.25
        assert outbound.counters.spool_full > 0
        assert outbound.counters.spool_bytes <= 10_000
        assert outbound.counters.queued_bytes <= 5_000
        log.away = False
        await asyncio.wait_for(outbound.flushed(), 10)
        assert put(outbound, 2_000)
        await outbound.flushed()
    assert log.first_times() == expected([*taken, 2_000])


async def test_without_a_spool_the_log_is_tried_again_and_memory_is_the_bound() -> None:
    log = FaultyLog()
    log.away = True
    async with running(outbound_on(log, None, max_queued_bytes=10_000)) as outbound:
        taken = [number for number in range(500) if put(outbound, number)]
        assert 50 < len(taken) < 500
        await asyncio.sleep(0.1)
        log.away = False
        await asyncio.wait_for(outbound.flushed(), 10)
    assert log.first_times() == expected(taken)


async def test_an_interval_is_durable_only_when_the_log_has_it_also_by_way_of_the_spool(tmp_path: Path) -> None:
    log = FaultyLog()
    told: list[tuple[str, int]] = []
    counters = OutboundCounters()
    spool = Spool(tmp_path, counters)
    spool.open()
    outbound = LogOutbound(log, spool, counters, durable=lambda c, ms: told.append((c, ms)), retry_s=0.02)
    start = 1_760_000_400_000
    async with running(outbound):
        for seq in range(4):
            log.away = seq in (1, 2)
            said = (start + seq * 10, start + seq * 10 + 10, "live")
            value = encode("tick", CHANNELS[0], "a", "s", seq, said)  # type: ignore[arg-type]
            assert outbound.put(CHANNELS[0], value, 0, said_to_ms=said[1])
            if log.away:
                before = list(told)
                await asyncio.sleep(0.05)
                assert told == before
            else:
                await asyncio.wait_for(outbound.flushed(), 10)
    assert told == [(CHANNELS[0], start + 10 * seq) for seq in (1, 2, 3, 4)]


async def test_what_no_log_may_raise_ends_run_and_still_saves_what_is_left(tmp_path: Path) -> None:
    class BrokenLog(FaultyLog):
        async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
            raise ZeroDivisionError

    outbound = outbound_on(BrokenLog(), tmp_path)
    put(outbound, 1)
    try:
        await outbound.run()
    except ZeroDivisionError:
        assert outbound.counters.spooled_records == 1
    else:
        raise AssertionError("run went on")
