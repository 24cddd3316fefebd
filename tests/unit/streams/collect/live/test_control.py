"""The control view where the log plays tricks: gaps, faults, bounds."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from schemas import control
from streams.collect.live import control as view_module
from streams.collect.live import control_sets as sets_module
from streams.collect.live import reports as reports_module
from streams.collect.live.control import ControlView, read_sets, say
from streams.collect.live.control_sets import ControlError, ControlSets
from streams.collect.live.port import MAX_CHANNELS
from streams.collect.live.reports import SEND_AT_MOST, StateReports
from streams.log.port import CONTROL, Append
from tests.memory_log import MemoryLog

T = 1_767_225_600_000


def wanted(login: str) -> control.Wanted:
    return control.Wanted(1, login, None, "operator", "ann", T, "")


async def turns_until(holds: Callable[[], bool]) -> None:
    """Let other tasks run until that holds."""
    async with asyncio.timeout(10):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0)


async def test_a_stream_that_ends_in_a_gap_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "WAIT_MS", 10)
    log = MemoryLog()
    await say(log, wanted("a"))
    log.leave_gap(CONTROL, 0, 3)
    assert (await read_sets(log)).wanted() == {"a"}
    view = ControlView(log)
    following = asyncio.create_task(view.follow())
    async with asyncio.timeout(10):
        changes = view.changes()
        assert await anext(changes) == {"a"}
        await say(log, wanted("b"))
        assert await anext(changes) == {"a", "b"}
    following.cancel()


async def test_a_lost_log_is_tried_again_and_the_known_sets_hold_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(view_module, "LAST_PAUSE_S", 0.002)
    monkeypatch.setattr(view_module, "WAIT_MS", 5)
    log = MemoryLog()
    log.fail |= {"read", "span"}
    view = ControlView(log)
    following = asyncio.create_task(view.follow())
    await turns_until(lambda: view.sets.counters.log_lost_total >= 3)
    log.fail.clear()
    await say(log, control.OptOut(1, "twitch:id:7", "ann", T, ""))
    await turns_until(lambda: view.holds("twitch:id:7", "x"))
    log.fail.add("read")
    lost = view.sets.counters.log_lost_total
    await turns_until(lambda: view.sets.counters.log_lost_total >= lost + 3)
    assert view.holds("twitch:id:7", "x")
    log.fail.clear()
    await say(log, control.OptIn(1, "twitch:id:7", "ann", T, ""))
    await turns_until(lambda: not view.holds("twitch:id:7", "x"))
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


def test_bounds_are_kept_and_an_optout_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets_module, "MAX_CHANNELS", 2)
    monkeypatch.setattr(sets_module, "MAX_SUPPRESSED", 2)
    sets = ControlSets()
    for login in ("a", "b", "c", "a"):
        sets.feed(control.encode(wanted(login)))
    assert sets.wanted() == {"a", "b"} and sets.counters.over_bound_total == 1
    for number in (1, 2, 1):
        sets.feed(control.encode(control.OptOut(1, f"twitch:id:{number}", "ann", T, "")))
    with pytest.raises(ControlError, match="more than 2 viewers"):
        sets.feed(control.encode(control.OptOut(1, "twitch:id:3", "ann", T, "")))


def test_the_version_rises_with_every_change_and_with_nothing_else() -> None:
    sets = ControlSets()
    optout, optin = control.OptOut(1, "twitch:id:7", "ann", T, ""), control.OptIn(1, "twitch:id:7", "ann", T, "")
    seen = []
    for record in (optin, wanted("a"), optout, wanted("b"), optin, optin):
        sets.feed(control.encode(record))
        seen.append(sets.version)
    assert seen == [0, 0, 1, 1, 2, 2]


async def test_a_collector_says_that_it_runs_and_when_asked_to_stop_that_alone() -> None:
    log = MemoryLog()
    reports = StateReports(log, "c", lambda: T)
    log.fail.add("append")
    running = asyncio.create_task(reports.run())
    for number in range(SEND_AT_MOST + 1):
        reports.report(f"c{number}", "joined")
    await turns_until(lambda: reports.counters.log_lost_total > 0)
    log.fail.clear()
    await turns_until(lambda: bool(log.records(CONTROL)))
    assert control.decode(log.records(CONTROL)[0].value) == control.Heartbeat(1, "c", "running", T, T)
    running.cancel()
    reports.stop()
    reports.report("c0", "leaving")
    await reports.close()
    sets = await read_sets(log, states=True)
    assert len(sets.states) == SEND_AT_MOST + 1 and {one.state for one in sets.states.values()} == {"joined"}
    beat, heard_at_ms = sets.heartbeats["c"]
    assert beat.state == "stopped" and heard_at_ms == log.records(CONTROL)[-1].time_ms


async def test_a_log_that_hangs_keeps_nobody_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemoryLog):
        async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(reports_module, "CLOSE_S", 0.05)
    reports = StateReports(Hanging(), "c", lambda: T)
    reports.report("a", "joined")
    async with asyncio.timeout(10):
        await reports.close()


async def test_channels_that_come_and_go_take_no_place_from_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "MAX_CHANNELS", 3)
    log = MemoryLog()
    reports = StateReports(log, "c", lambda: T)
    reports.report("stays", "joined")
    for number in range(20):
        reports.report(f"c{number}", "joined")
        reports.report(f"c{number}", "left")
        await reports.flush()
    assert (reports.counters.forgotten_total, reports._waiting) == (0, {})
    assert reports.counters.sent_total == 1 + 20  # of each that comes and goes the end
    assert len(log.records(CONTROL)) == 21


async def test_reports_outlive_a_lost_log_and_are_bounded() -> None:
    log = MemoryLog()
    reports = StateReports(log, "c" * 500, lambda: T)
    log.fail.add("append")
    reports.report("a", "joining")
    await reports.flush()
    reports.report("a", "joined")
    log.fail.clear()
    await reports.flush()
    [record] = log.records(CONTROL)
    found = control.decode(record.value)
    assert isinstance(found, control.ChannelState)
    assert (found.state, len(found.collector)) == ("joined", 100)
    assert (reports.counters.log_lost_total, reports.counters.sent_total) == (1, 1)
    for number in range(MAX_CHANNELS + 3):
        reports.report(f"c{number}", "joined")
    assert reports.counters.forgotten_total == 3
    reports.report("x", "Not A State")
    reports.report("not a login", "joined")
    assert reports.counters.dropped_total == 2
    for _ in range(MAX_CHANNELS // SEND_AT_MOST + 1):
        await reports.flush()
    assert reports.counters.sent_total == 1 + MAX_CHANNELS and not reports._waiting, "none gave way to the refused"
