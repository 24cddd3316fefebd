"""Outputs reach the broker in order, again until they are durable; parts before their header."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from streams.agents import outbox as module
from streams.agents.counters import WorkerCounters
from streams.agents.outbox import MAX_OUTPUTS, Outbox
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import EPOCH_SEALED
from streams.runner.metrics import RunnerMetrics
from tests.integration.streams.agents.chat import PEPPER, SCHEDULE

REQUEST = ResealRequest(2, "twitch:id:1", "one", 3600, 9)


class Broker:
    """Takes records; may refuse some of them once."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.refuse: set[bytes] = set()
        self.holding: asyncio.Event | None = None
        self.answers: list[list[bytes]] = []

    async def send(self, stream: str, partition: int, key: bytes, value: bytes) -> Awaitable[Any]:
        return asyncio.ensure_future(self._write(value))

    async def _write(self, value: bytes) -> None:
        if self.holding is not None:
            await self.holding.wait()
        if value in self.refuse:
            self.refuse.discard(value)
            raise KafkaTimeoutError
        self.written.append(value)

    async def answer(self, shard: Shard, request: ResealRequest) -> Output | None:
        self.answers.append(list(self.written))
        return output(99, b"revision 1")


class Acknowledged(Shard):
    """A shard that notes what was acknowledged."""

    def __init__(self) -> None:
        super().__init__(SCHEDULE, PEPPER, 0)
        self.ordinals: list[int] = []

    def acknowledged(self, ordinal: int) -> None:
        self.ordinals.append(ordinal)


def output(ordinal: int, *values: bytes) -> Output:
    return Output(ordinal, EPOCH_SEALED, [(b"key", value) for value in values])


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def shard() -> Acknowledged:
    return Acknowledged()


@pytest.fixture
def box(broker: Broker, shard: Acknowledged) -> Outbox:
    return Outbox(shard, broker.send, broker.answer, WorkerCounters(), RunnerMetrics())


async def drain(box: Outbox) -> None:
    running = asyncio.ensure_future(box.run())
    try:
        async with asyncio.timeout(5):
            while len(box):  # noqa: ASYNC110 (the loop only has to turn)
                await asyncio.sleep(0)
    finally:
        running.cancel()


async def test_outputs_are_written_in_order_and_acknowledged(box: Outbox, broker: Broker, shard: Acknowledged) -> None:
    box.put([output(1, b"a"), output(2, b"b"), output(3, b"c")])
    await drain(box)
    assert broker.written == [b"a", b"b", b"c"]
    assert shard.ordinals == [1, 2, 3]


async def test_a_header_waits_until_its_parts_are_durable(
    box: Outbox, broker: Broker, shard: Acknowledged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    broker.refuse = {b"part 1"}
    box.put([output(1, b"part 0", b"part 1", b"header")])
    await drain(box)
    assert broker.written == [b"part 0", b"part 0", b"part 1", b"header"]
    assert shard.ordinals == [1]


async def test_what_the_broker_refused_is_sent_again_with_what_follows(
    box: Outbox, broker: Broker, shard: Acknowledged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0)
    broker.refuse = {b"a"}
    box.put([output(1, b"a"), output(2, b"b")])
    await drain(box)
    assert broker.written == [b"b", b"a", b"b"]
    assert shard.ordinals == [1, 2]


async def test_a_reseal_is_answered_after_everything_before_it_is_durable(
    box: Outbox, broker: Broker, shard: Acknowledged
) -> None:
    box.put([output(1, b"a"), REQUEST, output(3, b"b")])
    await drain(box)
    assert broker.answers == [[b"a"]]
    assert broker.written == [b"a", b"revision 1", b"b"]
    assert shard.ordinals == [1, 99, 3]


async def test_a_full_outbox_holds_the_agent_back(box: Outbox, broker: Broker) -> None:
    broker.holding = asyncio.Event()
    box.put([output(number, b"x") for number in range(MAX_OUTPUTS + 1)])
    assert box.full
    waiting = asyncio.ensure_future(box.room())
    draining = asyncio.ensure_future(drain(box))
    await asyncio.sleep(0)
    assert not waiting.done()
    broker.holding.set()
    await draining
    await asyncio.wait_for(waiting, 1)
    assert not box.full


async def test_an_outbox_given_up_lets_the_agent_go(box: Outbox) -> None:
    box.put([output(number, b"x") for number in range(MAX_OUTPUTS + 1)])
    box.release()
    await asyncio.wait_for(box.room(), 1)
