"""What fills gaps from history: what it tells the Intake, how often it asks, and when it gives up. Over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from schemas.columns import EventColumns
from streams.collect.live.gap_filler import Gap, GapFiller
from streams.collect.live.history import Recovered, no_events
from tests.scripted_history import CHANNEL, LOGIN, T0, Service, client_of, every_second, said


class Told:
    """An Intake that remembers what it was told."""

    def __init__(self) -> None:
        self.recovered_: list[tuple[int, int, int]] = []
        self.absent_: list[tuple[int, int]] = []
        self.something = asyncio.Event()

    def recovered(self, channel: str, events: EventColumns, from_ms: int, to_ms: int) -> None:
        assert channel == CHANNEL
        self.recovered_.append((from_ms - T0, to_ms - T0, len(events)))
        self.something.set()

    def absent(self, channel: str, from_ms: int, to_ms: int) -> None:
        assert channel == CHANNEL
        self.absent_.append((from_ms - T0, to_ms - T0))
        self.something.set()


@asynccontextmanager
async def filling(service: Service, patience_s: float) -> AsyncIterator[tuple[GapFiller, Told]]:
    told = Told()
    async with client_of(service) as client:
        filler = GapFiller(client, told, patience_s=patience_s, first_pause_s=0.02)
        yield filler, told
        await filler.close()


async def ended(filler: GapFiller) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(*filler._work.values())


GAP = Gap(CHANNEL, LOGIN, T0 + 30_000, T0 + 60_000)


async def test_a_gap_is_filled_once_and_asked_for_once(service: Service) -> None:
    service.messages = every_second(0, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        filler.fill(GAP)
        filler.fill(GAP._replace(from_ms=T0 + 40_000))
        await ended(filler)
        assert filler.in_work == 0
    assert told.recovered_ == [(30_000, 60_000, 30)]
    assert told.absent_ == []
    assert len(service.asked) == 1


async def test_what_the_service_no_longer_has_is_absent_at_once_and_the_rest_recovered(service: Service) -> None:
    service.messages = every_second(40, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert told.recovered_ == [(41_000, 60_000, 20)]
    assert told.absent_ == [(30_000, 41_000)]
    assert len(service.asked) == 1


async def test_it_asks_again_until_the_lines_after_the_gap_are_there(service: Service) -> None:
    service.messages = every_second(0, 50)

    def more() -> None:
        if len(service.asked) == 3:
            service.messages = every_second(0, 100)

    service.on_request = more
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert [(start, end) for start, end, _ in told.recovered_] == [(30_000, 48_000), (48_000, 60_000)]
    assert told.absent_ == []


async def test_errors_are_tried_again(service: Service) -> None:
    service.fail = [web.Response(status=500), said([], "x", "channel_not_joined")]
    service.messages = every_second(0, 100)
    async with filling(service, 10) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
        assert filler.metrics.gap_tries_failed_total == 2
    assert told.recovered_ == [(30_000, 60_000, 30)]


async def test_after_its_patience_the_rest_of_the_gap_is_declared_absent(service: Service) -> None:
    service.messages = every_second(0, 50)
    async with filling(service, 0.3) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
        assert filler.metrics.gap_tries_total > 1
    assert [(start, end) for start, end, _ in told.recovered_] == [(30_000, 48_000)]
    assert told.absent_ == [(48_000, 60_000)]


async def test_a_service_that_hangs_costs_no_more_than_the_patience(service: Service) -> None:
    service.never = True
    async with filling(service, 0.2) as (filler, told):
        filler.fill(GAP)
        await ended(filler)
    assert told.absent_ == [(30_000, 60_000)]


async def test_too_many_gaps_are_declared_absent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.collect.live.gap_filler.MAX_WAITING", 2)

    class Never:
        async def fetch(self, channel: str, login: str, from_ms: int, to_ms: int) -> Recovered:
            await asyncio.Event().wait()
            return Recovered(no_events(), 0, 0, 0)

    told = Told()
    filler = GapFiller(Never(), told)
    for number in range(3):
        filler.fill(GAP._replace(from_ms=T0 + number, to_ms=T0 + 100_000 + number))
    assert told.absent_ == [(2, 100_002)]
    assert filler.metrics.gaps_too_many_total == 1
    await filler.close()
    assert filler.in_work == 0
    assert len(told.absent_) == 1, "what is in work is left to the Intake"
