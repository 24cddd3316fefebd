"""The control view on every log: what was said is known in every collector within seconds, and outlives faults."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from schemas import control
from streams.collect.live.control import ControlView, read_sets, say
from streams.collect.live.membership import Attempt
from streams.collect.live.reports import StateReports
from streams.log.port import CONTROL, Append, Log, LogRecord
from streams.log.postgres import Bounds, PostgresLog
from tests.conformance.streams.log.conftest import LogFactory
from tests.conformance.streams.log.postgres_storage import PostgresStorage

T = 1_767_225_600_000
PROMISED_S = 5.0


def wanted(login: str, origin: control.Origin = "operator", note: str = "") -> control.Wanted:
    return control.Wanted(1, login, None, origin, "ann", T, note)


def unwanted(login: str, origin: control.Origin = "operator") -> control.Unwanted:
    return control.Unwanted(1, login, origin, "ann", T, "")


@asynccontextmanager
async def following(log: Log) -> AsyncIterator[ControlView]:
    view = ControlView(log)
    task = asyncio.create_task(view.follow())
    try:
        async with asyncio.timeout(20):
            await view.ready()
        yield view
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(view: ControlView, holds: Callable[[ControlView], bool]) -> None:
    """Wait until the view says so; every record it meets makes it tell its news."""
    async with asyncio.timeout(PROMISED_S):
        while not holds(view):
            await view._news.wait()


async def test_every_collector_learns_within_five_seconds_what_was_said(log_factory: LogFactory) -> None:
    operator, first, second = [await log_factory() for _ in range(3)]
    await say(operator, wanted("before"))
    async with following(first) as one, following(second) as other:
        changes = [one.changes(), other.changes()]
        assert [await anext(each) for each in changes] == [{"before"}] * 2
        began_s = time.monotonic()
        await say(operator, wanted("after"))
        assert [await anext(each) for each in changes] == [{"before", "after"}] * 2
        await say(operator, control.OptOut(1, "twitch:id:7", "ann", T, ""))
        for view in (one, other):
            await until(view, lambda view: view.holds("twitch:id:7", "whoever"))
            assert not view.holds("twitch:id:8", "whoever")
        await say(operator, unwanted("before"))
        assert [await anext(each) for each in changes] == [{"after"}] * 2
        assert time.monotonic() - began_s < PROMISED_S


async def test_the_opted_out_are_known_before_a_collector_is_ready(log_factory: LogFactory) -> None:
    log = await log_factory()
    # More than one read brings.
    for start in range(0, 2_500, 500):
        optouts = [control.OptOut(1, f"twitch:id:{number}", "ann", T, "") for number in range(start, start + 500)]
        await say(log, *optouts)
    await say(log, control.OptOut(1, "twitch:login:bob", "ann", T, ""), control.OptIn(1, "twitch:id:0", "ann", T, ""))
    async with following(log) as view:
        assert view.holds("twitch:id:2499", "x") and view.holds("twitch:id:99999", "bob")
        assert not view.holds("twitch:id:0", "x")


async def test_origins_take_back_their_own_wishes_only_and_denial_overrules_the_discovery(
    log_factory: LogFactory,
) -> None:
    log = await log_factory()
    await say(log, wanted("a"), wanted("a", "discovery"), wanted("b", "discovery"), unwanted("a", "discovery"))
    assert (await read_sets(log)).wanted() == {"a", "b"}
    await say(log, control.Ruled(1, "b", "deny", "ann", T, ""), wanted("c", "discovery"), unwanted("c"))
    assert (await read_sets(log)).wanted() == {"a", "c"}
    await say(log, control.Ruled(1, "b", "none", "ann", T, ""), unwanted("a"))
    assert (await read_sets(log)).wanted() == {"b", "c"}
    await say(log, control.Ruled(1, "b", "deny", "ann", T, ""), wanted("b"))
    assert (await read_sets(log)).wanted() == {"b", "c"}, "an operator's own wish goes before a denial"


async def test_what_does_not_decode_is_passed_over_and_counted(log_factory: LogFactory) -> None:
    log = await log_factory()
    await say(log, wanted("a"))
    await log.append(CONTROL, [Append(None, b"x", b"\xc1"), Append(None, b"x", b"")])
    await say(log, wanted("b"))
    sets = await read_sets(log)
    assert sets.wanted() == {"a", "b"}
    assert sets.counters.undecodable_total == 2


async def test_reports_are_gathered_to_the_newest_of_each_channel(log_factory: LogFactory) -> None:
    log = await log_factory()
    now_ms = iter(range(T, T + 1000))
    reports = StateReports(log, "host-1", lambda: next(now_ms))
    tried = [Attempt(T, "join", f"time-out {number}") for number in range(15)]
    reports.report("a", "joining")
    reports.report("a", "parked", "msg_channel_suspended")
    reports.report("a", "parked", "msg_channel_suspended", "77", since_ms=T - 1, tried=tried)
    reports.report("b", "joined")
    await reports.flush()
    assert [record.key for record in await log.read(CONTROL, 0, 0)] == [b"state|host-1|a", b"state|host-1|b"]
    found = (await read_sets(log, states=True)).states["a", "host-1"]
    assert (found.state, found.reason, found.room_id) == ("parked", "msg_channel_suspended", "77")
    assert found.since_ms == T - 1 < found.at_ms
    assert [one.outcome for one in found.tried] == [f"time-out {number}" for number in range(5, 15)]
    assert (reports.counters.sent_total, reports.counters.replaced_total) == (2, 2)
    await reports.flush()
    assert reports.counters.sent_total == 2


@pytest.mark.postgres
async def test_compaction_keeps_the_newest_of_each_key_and_what_is_young(postgres: PostgresStorage) -> None:
    # Segments of one page, so that keys lie in several.
    log = postgres.client(bounds=Bounds(segment_bytes=16 << 10))
    await log.open()
    view = ControlView(log)
    follow = asyncio.create_task(view.follow())
    for round_ in range(40):
        await say(log, *(wanted(f"chan{number}", note=f"{round_} " + "x" * 400) for number in range(10)))
        if round_ % 10 == 9:
            await log.compact(CONTROL, keep_ms=0)
    await say(log, *(unwanted(f"chan{number}") for number in range(5)))
    end = (await log.span(CONTROL, 0))[1]
    assert await log.compact(CONTROL, keep_ms=3_600_000) == 0, "all of them are younger than an hour"
    assert await log.compact(CONTROL, keep_ms=0) > 0
    left = await everything(log)
    assert sorted(record.key for record in left) == sorted(f"wanted|operator|chan{n}".encode() for n in range(10))
    assert await log.span(CONTROL, 0) == (0, end) == (0, 405), "offsets stay"
    assert (await read_sets(log)).wanted() == {f"chan{number}" for number in range(5, 10)}
    assert log.counters.compacted_records == 395
    await until(view, lambda view: view.sets.wanted() == {f"chan{number}" for number in range(5, 10)})
    follow.cancel()
    assert await log.append(CONTROL, [Append(None, b"k", b"v")]) == [(0, 405)]
    await log.close()


async def everything(log: PostgresLog) -> list[LogRecord]:
    found: list[LogRecord] = []
    at = 0
    while records := await log.read(CONTROL, 0, at):
        found += records
        at = records[-1].offset + 1
    return found
