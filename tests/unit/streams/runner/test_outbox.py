"""The outbox: in order, again until durable, acknowledged only then; what is durable is a prefix of what was put in."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.envelope import encode
from schemas.streams import DEAD, EPOCH_SEALED
from streams.core.outputs import Output
from streams.core.shard import Shard
from streams.log.port import Append, Log, LogError
from streams.runner import outbox as outboxes
from streams.runner.backoff import Backoff
from streams.runner.metrics import RunnerMetrics
from streams.runner.outbox import Outbox
from tests.logs import PEPPER, SCHEDULE, T0


class FailingLog:
    """Takes appends, except those it was told to refuse; of a refused one a part may be there."""

    def __init__(self, refuse: set[int]) -> None:
        self.refuse = refuse
        self.calls = 0
        self.written: dict[str, list[bytes]] = {EPOCH_SEALED: [], DEAD: []}

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        self.calls += 1
        values = [record.value for record in records]
        if self.calls in self.refuse:
            self.written[stream] += values[: len(values) // 2]
            raise LogError("away")
        self.written[stream] += values
        return [(0, 0) for _ in records]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)


def outputs_of(shard: Shard, hours: int) -> list[Output]:
    """Seals of that many epochs, each with a dead letter before it."""
    made: list[Output] = []
    for number in range(hours):
        start = T0 + number * 10_000
        for value in (b"junk", encode("tick", "twitch:id:1", "a", "s", number, (start, start + 12_500, "live"))):
            made += [output for output in shard.feed(shard.next, value) if isinstance(output, Output)]
    return made


async def test_all_is_written_in_order_and_acknowledged_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "APPEND_BYTES", 1500)
    shard, log, metrics = Shard(SCHEDULE, PEPPER, 0), FailingLog({1, 3, 4, 8, 9}), RunnerMetrics()
    outputs = outputs_of(shard, 12)
    seals = [value for output in outputs if output.stream == EPOCH_SEALED for _, value in output.records]
    assert len(seals) == 12
    box = Outbox(log, shard, None, metrics)  # type: ignore[arg-type]
    box.put(list(outputs))
    assert shard.low_water() == 0
    task = asyncio.create_task(box.run())
    async with asyncio.timeout(10):
        await box.empty()
    task.cancel()
    assert list(dict.fromkeys(log.written[EPOCH_SEALED])) == seals  # first appearances, in order
    assert metrics.counters.log_lost_total == 5
    assert shard.low_water() == shard.next - 1  # only the open epoch still needs its record


async def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    shard, log = Shard(SCHEDULE, PEPPER, 0), FailingLog(set(range(1, 4)))
    box = Outbox(log, shard, None, RunnerMetrics())  # type: ignore[arg-type]
    box.put(list(outputs_of(shard, 2)))
    task = asyncio.create_task(box.run())
    while log.calls < 3:
        assert shard.low_water() == 0
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await box.empty()
    task.cancel()
    assert shard.low_water() > 0


async def test_a_full_outbox_holds_the_engine_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MAX_OUTPUTS", 3)
    shard = Shard(SCHEDULE, PEPPER, 0)
    box = Outbox(FailingLog(set()), shard, None, RunnerMetrics())  # type: ignore[arg-type]
    box.put(list(outputs_of(shard, 3)))
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    task = asyncio.create_task(box.run())
    async with asyncio.timeout(10):
        await waiting
    task.cancel()


def test_the_fake_has_the_ports_append() -> None:
    assert set(FailingLog.append.__annotations__) == set(Log.append.__annotations__)
