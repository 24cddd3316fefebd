"""Who opts out while their events wait for the log is not on it afterwards; everything else is, and so is what was said
to be observed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas import control
from schemas.envelope import Envelope, decode
from streams.collect.live.control import ControlView, say
from streams.collect.live.running import Collecting, collecting
from streams.log.port import CHAT_EVENTS, CONTROL, Append, LogRecord
from tests.live import T0_MS, chat
from tests.memory_log import Memory, MemoryLog

ANN, BOB = (5, "ann"), (6, "bob")
DELETED = b"@login=%b;room-id=;target-msg-id=1;tmi-sent-ts=%d :tmi.twitch.tv CLEARMSG #chan :gone\r\n"
CUT_OFF = {"append", "read", "span"}


class HangingLog(MemoryLog):
    """Appends to chat.events come back once `takes` is set, reads of control once `tells` is; asked: the log's span, or
    such an append, was asked for."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(1, memory=memory)
        self.takes, self.tells, self.asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.takes.set()
        self.tells.set()

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        if stream == CHAT_EVENTS:
            self.asked.set()
            await self.takes.wait()
        return await super().append(stream, records)

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        self.asked.set()
        return await super().span(stream, partition)

    async def read(self, stream: str, partition: int, start: int, **bounds: int) -> list[LogRecord]:
        found = await super().read(stream, partition, start, **bounds)
        await self.tells.wait()
        return found


class Parts:
    """A collector's back half on a log that its operator reaches by another way."""

    def __init__(self) -> None:
        memory = Memory()
        self.log, self.operator = HangingLog(memory), MemoryLog(1, memory=memory)
        self.number = 0

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Collecting]:
        await self.log.open()
        await self.operator.open()
        view = ControlView(self.log)
        following = asyncio.create_task(view.follow())
        try:
            await view.ready()
            async with collecting(self.log, folder, view, caught_up=view.caught_up) as back:
                back.intake.observing("chan", "22", 1, back.clock_ms() - 60_000)
                yield back
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def say(self, back: Collecting, *viewers: tuple[int, str], more: bytes = b"") -> None:
        """A message of each, and further lines; flushed."""
        now_ms = back.clock_ms()
        lines = b""
        for user, login in viewers:
            self.number += 1
            lines += chat(now_ms - 20, self.number, user=user, login=login)
        back.intake.received(1, lines + more, now_ms)
        back.intake.flush(now_ms)

    async def opt_out(self, viewer: str) -> None:
        await say(self.operator, control.OptOut(control.VERSION, viewer, "ann", T0_MS, ""))

    def on_the_log(self) -> list[Envelope]:
        return [decode(record.value) for record in self.operator.records(CHAT_EVENTS)]

    def bytes_on_the_log(self) -> bytes:
        return b"".join(record.value for record in self.operator.records(CHAT_EVENTS))


def spooled(back: Collecting, records: int) -> bool:
    return back.outbound.spooled_records >= records and not back.outbound.queued_records


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - neither files nor counters tell
            await asyncio.sleep(0)


@pytest.mark.parametrize("name", ["twitch:id:5", "twitch:login:ann"])
async def test_what_lies_in_the_spool_is_held_against_the_opt_outs_of_meanwhile(tmp_path: Path, name: str) -> None:
    parts = Parts()
    async with parts.running(tmp_path) as back:
        parts.log.fail |= CUT_OFF
        parts.say(back, ANN, BOB)
        parts.say(back, ANN, more=DELETED % (b"ann", back.clock_ms()))
        parts.say(back, BOB)
        await until(lambda: spooled(back, 3))
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").glob("*.spool"))
        assert b"ann" in on_disk
        await parts.opt_out(name)  # the collector cannot know
        parts.log.tells.clear()  # nor at once when the log is back
        parts.log.asked.clear()
        parts.log.fail.clear()
        async with asyncio.timeout(20):
            await parts.log.asked.wait()
            parts.log.tells.set()
            await back.sender.flushed()
    assert b"ann" not in parts.bytes_on_the_log() and b"twitch:id:5" not in parts.bytes_on_the_log()
    found = parts.on_the_log()
    assert [login for one in found for _, login in one.viewers] == ["bob", "bob"]
    assert sum(len(one.kind) for one in found) == 2
    assert [one.seq for one in found] == list(range(len(found))), "nobody takes an envelope for lost"
    assert [len(one.kind) for one in found if one.type == "events"] == [1, 1], "one lost a row, one all of them"
    said = [one.observed for one in found if one.observed]
    assert said and back.said.load() == {"twitch:id:22": max(end for _, end, _ in said)}
    assert (back.outbound.suppressed_events, back.outbound.unidentified_events) == (3, 0)
    assert not list((tmp_path / "spool").glob("*.spool"))


async def test_the_empty_envelope_still_says_what_was_observed(tmp_path: Path) -> None:
    parts = Parts()
    async with parts.running(tmp_path) as back:
        parts.log.fail |= CUT_OFF
        parts.say(back, BOB)  # from now on Twitch's time is known
        for _ in range(3):
            parts.say(back, ANN)
        await until(lambda: spooled(back, 4))
        claimed_ms = back.intake.counters.live_ms
        await parts.opt_out("twitch:id:5")
        parts.log.fail.clear()
    said = [one.observed for one in parts.on_the_log() if one.observed]
    assert claimed_ms > 0 and sum(end - start for start, end, _ in said) >= claimed_ms
    assert b"ann" not in parts.bytes_on_the_log()


async def test_an_earlier_process_spool_is_held_against_them_too_and_unknown_authors_are_dropped(
    tmp_path: Path,
) -> None:
    parts = Parts()
    async with parts.running(tmp_path) as back:
        parts.log.fail |= CUT_OFF
        deleted = b"".join(DELETED % (login, back.clock_ms()) for login in (b"ann", b"eve"))
        parts.say(back, BOB, more=deleted)
        back.sender._closing.set()
    await parts.opt_out("twitch:id:5")
    parts.log.fail.clear()
    async with parts.running(tmp_path) as back, asyncio.timeout(20):
        await back.sender.flushed()
    assert [login for one in parts.on_the_log() for _, login in one.viewers] == ["bob"]
    assert (back.outbound.suppressed_events, back.outbound.unidentified_events) == (0, 2)


async def test_what_waits_in_memory_behind_a_hung_append_is_looked_at_again(tmp_path: Path) -> None:
    parts = Parts()
    async with parts.running(tmp_path) as back:
        parts.log.takes.clear()
        parts.log.asked.clear()
        parts.say(back, BOB)
        await parts.log.asked.wait()
        parts.say(back, ANN, BOB)
        recheck = back.sender._recheck
        version = recheck.version
        await parts.opt_out("twitch:id:5")
        await until(lambda: recheck.version > version)
        parts.log.takes.set()
        async with asyncio.timeout(20):
            await back.sender.flushed()
        assert back.outbound.spooled_records == 0
    assert [login for one in parts.on_the_log() for _, login in one.viewers] == ["bob", "bob"]
    assert b"ann" not in parts.bytes_on_the_log()


async def test_caught_up_waits_for_what_was_said_by_then_and_no_longer(tmp_path: Path) -> None:
    parts = Parts()
    async with parts.running(tmp_path):
        pass
    view = ControlView(parts.log)
    following = asyncio.create_task(view.follow())
    await view.ready()
    await parts.opt_out("twitch:id:5")
    async with asyncio.timeout(10):
        await view.caught_up()
        assert view.holds("twitch:id:5", "x")
        parts.operator.leave_gap(CONTROL, 0, 3)  # no record will ever come there
        await view.caught_up()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
