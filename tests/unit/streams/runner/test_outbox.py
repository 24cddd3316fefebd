"""The outbox: in order, again until durable, acknowledged only then; what is durable is a prefix of what was put in."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.envelope import encode
from schemas.streams import DEAD, EPOCH_SEALED
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import Append, Log, LogError
from streams.runner import outbox as outboxes
from streams.runner.backoff import Backoff
from streams.runner.metrics import RunnerMetrics
from streams.runner.outbox import Outbox
from tests.logs import PEPPER, SCHEDULE, T0

REQUEST = ResealRequest(2, "twitch:id:1", "one", 3600, 9)


class FailingLog:
    """Takes appends, except those it was told to refuse; of a refused one a prefix is there."""

    def __init__(self, refuse: set[int] | None = None, prefix: int | None = None) -> None:
        """refuse: which calls, from 1. prefix: how many records of a refused one are there; None: half of them."""
        self.refuse = refuse or set()
        self.prefix = prefix
        self.calls = 0
        self.written: dict[str, list[bytes]] = {EPOCH_SEALED: [], DEAD: []}
        self.answers: list[list[bytes]] = []
        self.holding: asyncio.Event | None = None
        self.called = asyncio.Event()

    async def append(self, stream: str, records: Sequence[Append]) -> list[tuple[int, int]]:
        self.calls += 1
        self.called.set()
        refused = self.calls in self.refuse
        if self.holding is not None:
            await self.holding.wait()
        values = [record.value for record in records]
        if refused:
            self.written[stream] += values[: len(values) // 2 if self.prefix is None else self.prefix]
            raise LogError("away")
        self.written[stream] += values
        return [(0, 0) for _ in records]

    async def answer(self, shard: Shard, request: ResealRequest) -> Output | None:
        self.answers.append(list(self.written[EPOCH_SEALED]))
        return output(99, b"revision 1")


class Acknowledged(Shard):
    """A shard that notes what was acknowledged."""

    def __init__(self) -> None:
        super().__init__(SCHEDULE, PEPPER, 0)
        self.ordinals: list[int] = []

    def acknowledged(self, ordinal: int) -> None:
        self.ordinals.append(ordinal)
        super().acknowledged(ordinal)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)


def box_of(shard: Shard, log: FailingLog, metrics: RunnerMetrics | None = None) -> Outbox:
    return Outbox(shard, log.append, log.answer, metrics or RunnerMetrics())


def output(ordinal: int, *values: bytes) -> Output:
    return Output(ordinal, EPOCH_SEALED, [(b"key", value) for value in values])


def outputs_of(shard: Shard, hours: int) -> list[Output]:
    """Seals of that many epochs, each with a dead letter before it."""
    made: list[Output] = []
    for number in range(hours):
        start = T0 + number * 10_000
        for value in (b"junk", encode("tick", "twitch:id:1", "a", "s", number, (start, start + 12_500, "live"))):
            made += [output for output in shard.feed(shard.next, value) if isinstance(output, Output)]
    return made


async def drain(box: Outbox) -> None:
    task = asyncio.create_task(box.run())
    try:
        async with asyncio.timeout(10):
            await box.empty()
    finally:
        task.cancel()


async def test_outputs_are_written_in_order_and_acknowledged() -> None:
    shard, log = Acknowledged(), FailingLog()
    box = box_of(shard, log)
    box.put([output(1, b"a"), output(2, b"b"), output(3, b"c")])
    await drain(box)
    assert log.written[EPOCH_SEALED] == [b"a", b"b", b"c"]
    assert shard.ordinals == [1, 2, 3]


async def test_all_is_written_in_order_and_acknowledged_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "APPEND_BYTES", 1500)
    shard, log, metrics = Shard(SCHEDULE, PEPPER, 0), FailingLog({1, 3, 4, 8, 9}), RunnerMetrics()
    outputs = outputs_of(shard, 12)
    seals = [value for output in outputs if output.stream == EPOCH_SEALED for _, value in output.records]
    assert len(seals) == 12
    box = box_of(shard, log, metrics)
    box.put(list(outputs))
    assert shard.low_water() == 0
    await drain(box)
    assert list(dict.fromkeys(log.written[EPOCH_SEALED])) == seals  # first appearances, in order
    assert metrics.counters.log_lost_total == 5
    assert shard.low_water() == shard.next - 1  # only the open epoch still needs its record


@pytest.mark.parametrize("prefix", [0, 1, 2])
async def test_a_header_is_never_there_before_its_parts(prefix: int) -> None:
    shard, log = Acknowledged(), FailingLog({1}, prefix)
    box = box_of(shard, log)
    box.put([output(1, b"part 0", b"part 1", b"header"), output(2, b"b")])
    await drain(box)
    parts = [b"part 0", b"part 1"]
    assert log.written[EPOCH_SEALED] == [*parts[:prefix], *parts, b"header", b"b"]
    assert shard.ordinals == [1, 2]


async def test_what_the_log_refused_is_written_again_with_what_follows() -> None:
    shard, log = Acknowledged(), FailingLog({1}, 1)
    box = box_of(shard, log)
    box.put([output(1, b"a"), output(2, b"b")])
    await drain(box)
    assert log.written[EPOCH_SEALED] == [b"a", b"a", b"b"]
    assert shard.ordinals == [1, 2]


async def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    shard, log = Shard(SCHEDULE, PEPPER, 0), FailingLog(set(range(1, 4)))
    box = box_of(shard, log)
    box.put(list(outputs_of(shard, 2)))
    task = asyncio.create_task(box.run())
    while log.calls < 3:
        assert shard.low_water() == 0
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await box.empty()
    task.cancel()
    assert shard.low_water() > 0


async def test_a_reseal_is_answered_after_everything_before_it_is_durable() -> None:
    shard, log, metrics = Acknowledged(), FailingLog(), RunnerMetrics()
    box = box_of(shard, log, metrics)
    box.put([output(1, b"a"), REQUEST, output(3, b"b")])
    await drain(box)
    assert log.answers == [[b"a"]]
    assert log.written[EPOCH_SEALED] == [b"a", b"revision 1", b"b"]
    assert shard.ordinals == [1, 99, 3]
    assert metrics.counters.reseals_answered_total == 1


async def test_a_full_outbox_holds_the_engine_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MAX_OUTPUTS", 3)
    shard, metrics = Shard(SCHEDULE, PEPPER, 0), RunnerMetrics()
    box = box_of(shard, FailingLog(), metrics)
    box.put(list(outputs_of(shard, 3)))
    was_full = box.full
    assert was_full
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    task = asyncio.create_task(box.run())
    async with asyncio.timeout(10):
        await waiting
    task.cancel()
    assert not box.full
    assert metrics.counters.outbox_full_total == 1


async def test_an_outbox_given_up_lets_the_engine_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MAX_OUTPUTS", 3)
    box = box_of(Acknowledged(), FailingLog())
    box.put([output(number, b"x") for number in range(4)])
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    box.release()
    await asyncio.wait_for(waiting, 1)


async def test_what_is_under_way_when_the_shard_is_given_up_is_not_acknowledged() -> None:
    shard, log = Acknowledged(), FailingLog()
    log.holding = asyncio.Event()
    box = box_of(shard, log)
    box.put([output(1, b"a")])
    task = asyncio.create_task(box.run())
    await asyncio.wait_for(log.called.wait(), 1)
    box.release()
    log.holding.set()
    await asyncio.wait_for(task, 1)
    assert log.written[EPOCH_SEALED] == [b"a"]
    assert shard.ordinals == []


def test_the_fake_has_the_ports_append() -> None:
    assert set(FailingLog.append.__annotations__) == set(Log.append.__annotations__)
