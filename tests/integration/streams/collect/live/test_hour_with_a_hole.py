"""What the seal of an hour says of a hole in it: through intake, gap filler, history service and shard; by a clock of
the test's own, so that nobody waits for an hour. And the half-open socket once more over real TLS."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from schemas.sealed import SealedEpoch
from streams.collect.live.claims import MARGIN_MS
from streams.collect.live.connection import Endpoint, Timing
from streams.collect.live.gap_filler import Gap, GapFiller
from streams.collect.live.history import HistoryClient
from streams.collect.live.intake import FLUSH_MS, LiveIntake
from streams.collect.live.keepalive import Deadlines
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.roster import Roster
from streams.collect.twitch_sim.recent import exported
from tests.live import T0_MS, Sink, chat, intake_into, sealed_of
from tests.scripted_twitch import PATIENCE_S, ScriptedTwitch

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
DOWN_MS = (20 * MINUTE_MS, 23 * MINUTE_MS)
"""Three minutes in the middle of the hour in which nothing is heard."""
NOTICED_MS = 22 * MINUTE_MS
"""When a half-open socket is given up."""
EDGE_MS = 2_500
"""What a hole costs at its edges: a claim ends 1 s before what was proved, and begins 0.5 s after the JOIN."""
END_MS = HOUR_MS + 10 * MINUTE_MS
SLOW = Timing(connect_s=5.0, welcome_s=5.0, deadlines=Deadlines(ping_s=0.1, silent_s=2.0, answer_s=9.0))
"""Silence is noticed so late that claiming until then would show, in spite of the margin of a claim."""


class Recent:
    """A recent-messages service that keeps the last 800 lines of the channel, and vouches for them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        messages = [exported(line, T0_MS).decode() for line in self.lines[-800:]]
        return web.json_response({"messages": messages, "error": None, "error_code": None})


@pytest.fixture
async def recent() -> AsyncIterator[Recent]:
    made = Recent()
    app = web.Application()
    app.router.add_get("/recent/{channel}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/recent/{{channel}}"
    yield made
    await runner.cleanup()


def flushed(intake: LiveIntake, from_ms: int, to_ms: int) -> None:
    """The collector's timer, from one moment to the next."""
    for at in range(from_ms, to_ms, FLUSH_MS):
        intake.flush(T0_MS + at)


async def an_hour(recent: Recent | None, *, half_open: bool, filled_at_ms: int = DOWN_MS[1] + 5_000) -> SealedEpoch:
    """The seal of an hour with a line a second and the hole. recent: fills it, once the lines after it are there."""
    sink = Sink()
    intake = intake_into(sink)
    connection = 1
    intake.observing("chan", "22", connection, T0_MS - MINUTE_MS)
    for at in range(-MINUTE_MS + 1000, END_MS, 1000):
        line = chat(T0_MS + at, user=at // 1000 % 50, login=f"v{at // 1000 % 50}")
        if recent is not None:
            recent.lines.append(line)
        if at == (NOTICED_MS if half_open else DOWN_MS[0]):
            intake.lost("chan", connection)
        if at == DOWN_MS[1]:
            connection += 1
            intake.observing("chan", "22", connection, T0_MS + at)
        if not DOWN_MS[0] <= at < DOWN_MS[1]:
            intake.received(connection, line, T0_MS + at + 30)
        flushed(intake, at + 30, at + 1030)
        if recent is not None and at == filled_at_ms:
            async with HistoryClient(recent.url) as client:
                filler = GapFiller(client, intake)
                for hole in intake.holes():
                    filler.fill(Gap(hole.channel, hole.login, hole.from_ms, hole.to_ms))
                async with asyncio.timeout(PATIENCE_S):
                    while filler.in_work:  # noqa: ASYNC110 - it does not tell
                        await asyncio.sleep(0)
                assert filler.metrics.gap_recovered_events_total and not filler.metrics.gap_tries_failed_total
                await filler.close()
    return sealed_of(sink.values)["twitch:id:22", T0_MS // 1000]


def said(sealed: SealedEpoch) -> dict[str, list[tuple[int, int]]]:
    """Intervals by kind, relative to the hour."""
    out: dict[str, list[tuple[int, int]]] = {}
    for start, end, kind in sealed.coverage:
        out.setdefault(kind, []).append((start - T0_MS, end - T0_MS))
    return out


def length(spans: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


@pytest.mark.parametrize("half_open", [False, True], ids=["cut", "half-open"])
async def test_the_seal_of_an_hour_with_a_3_min_hole_says_57_of_60_min(half_open: bool) -> None:
    sealed = await an_hour(None, half_open=half_open)
    spans = said(sealed)
    assert set(spans) == {"live", "absent"} and length(spans["live"]) + length(spans["absent"]) == HOUR_MS
    assert 57 * MINUTE_MS - EDGE_MS <= length(spans["live"]) <= 57 * MINUTE_MS
    ((start, end),) = spans["absent"]
    # Nothing beyond the last byte, however late the silence was noticed.
    assert DOWN_MS[0] - EDGE_MS <= start < DOWN_MS[0] and DOWN_MS[1] < end <= DOWN_MS[1] + EDGE_MS
    assert sealed.header.total_messages == 3600 - 180


@pytest.mark.parametrize("half_open", [False, True], ids=["cut", "half-open"])
async def test_with_history_filled_the_seal_says_recovered(recent: Recent, half_open: bool) -> None:
    sealed = await an_hour(recent, half_open=half_open)
    spans = said(sealed)
    assert set(spans) == {"live", "recovered"}, "not a moment is missing"
    assert length(spans["live"]) + length(spans["recovered"]) == HOUR_MS
    assert 57 * MINUTE_MS - EDGE_MS <= length(spans["live"]) <= 57 * MINUTE_MS
    assert sealed.header.total_messages == 3600, "every message, those around the hole once"


async def test_history_that_begins_within_the_hole_fills_the_rest_of_it_alone(recent: Recent) -> None:
    sealed = await an_hour(recent, half_open=False, filled_at_ms=DOWN_MS[1] + 50_000)
    assert set(said(sealed)) == {"live", "recovered"}
    del recent.lines[:]
    sealed = await an_hour(_Forgetful(recent), half_open=False)
    spans = said(sealed)
    assert set(spans) == {"live", "recovered", "absent"}
    ((start, end),) = spans["absent"]
    assert DOWN_MS[0] - EDGE_MS <= start < DOWN_MS[0] and abs(end - DOWN_MS[0] - MINUTE_MS) <= 2_000
    assert abs(sealed.header.total_messages - 3540) <= 2


class _Forgetful(Recent):
    """Of the service's lines those of the hole's first minute are gone, and all before."""

    def __init__(self, other: Recent) -> None:
        self.url = other.url
        self.lines = _Lines(other.lines)


class _Lines(list[bytes]):
    def __init__(self, kept: list[bytes]) -> None:
        super().__init__()
        self._kept, self._number = kept, 0

    def append(self, line: bytes) -> None:
        self._number += 1
        if (self._number - 59) * 1000 >= DOWN_MS[0] + MINUTE_MS:
            self._kept.append(line)


async def test_a_half_open_socket_claims_no_time_beyond_its_last_byte(
    twitch: ScriptedTwitch, endpoint: Endpoint, seed: int
) -> None:
    sink, metrics, chance = Sink(), CollectMetrics(), random.Random(seed)
    intake = intake_into(sink, tick_ms=0)
    twitch.rooms["chan"] = 22
    pool = Pool(endpoint, intake, metrics, timing=SLOW, chance=chance)
    reconciler = Reconciler(Roster(pool, intake, metrics, chance=chance), Pacing())
    pool.attach(reconciler)
    running = asyncio.create_task(reconciler.run())
    reconciler.want(frozenset({"chan"}))
    session = await twitch.session(0)
    await session.until(lambda each: "chan" in each.joined)

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    async def spoken(session_number: int) -> int:
        """Chat until something of it is claimed; the time of its last byte."""
        one = await twitch.session(session_number)
        await one.until(lambda each: "chan" in each.joined)
        before, number = intake.counters.live_ms, 0
        async with asyncio.timeout(PATIENCE_S):
            while intake.counters.live_ms == before:
                number += 1
                one.say(chat(now_ms(), session_number * 1_000 + number).rstrip())
                await asyncio.sleep(0.05)  # the rate of the chat
                intake.flush(now_ms())
        return now_ms()

    last_ms = await spoken(0)
    session.mute = True
    async with asyncio.timeout(PATIENCE_S):
        while not metrics.connections_ended_total:
            intake.flush(now_ms())
            await asyncio.sleep(0.02)
    intake.flush(now_ms())
    claimed = max(end for _, end in sink.said())
    assert T0_MS + claimed <= last_ms, "the server kept the connection and said nothing more"
    assert now_ms() - last_ms > MARGIN_MS + 500, "and that took a while to notice"
    await spoken(1)
    first, second = sink.said()
    assert first[1] == claimed and T0_MS + second[0] > last_ms + MARGIN_MS
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await pool.close()
