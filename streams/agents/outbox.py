"""Outputs of one shard on their way to the broker: in order, again until they are durable, then acknowledged.

Comes in: what Shard.feed gave. Goes out: records on epoch.sealed (same partition number as the input) and dead.
Bounded: `room` holds the agent back while more than MAX_OUTPUTS or MAX_BYTES wait. A repeated output has the same
bytes, so readers take it once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

from schemas.errors import TwzrdError
from streams.agents.counters import WorkerCounters
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import DEAD
from streams.runner.driver import size_bytes
from streams.runner.metrics import RunnerMetrics

MAX_OUTPUTS: Final = 256
MAX_BYTES: Final = 32 * 1024 * 1024
RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)


class Send(Protocol):
    """Hand one record to the producer; the future it gives is done when the broker has it."""

    async def __call__(self, stream: str, partition: int, key: bytes, value: bytes) -> Awaitable[Any]: ...


Answer = Callable[[Shard, ResealRequest], Awaitable[Output | None]]
"""Answer a reseal request of a shard: reads the log, gives the output that bears the new revision, if there is one."""


class Outbox:
    """FIFO of one shard. One task runs `run` until it is cancelled."""

    def __init__(
        self, shard: Shard, send: Send, answer: Answer, counters: WorkerCounters, metrics: RunnerMetrics
    ) -> None:
        self._shard = shard
        self._partition = shard.partition
        self._metrics = metrics
        self._send = send
        self._answer = answer
        self._counters = counters
        self._waiting: deque[Output | ResealRequest] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """The agent must wait."""
        return not self._room.is_set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, outputs: Sequence[Output | ResealRequest]) -> None:
        """Queue what feed() gave; then await room()."""
        self._waiting.extend(outputs)
        self._bytes += sum(size_bytes(output) for output in outputs)
        self._filled.set()
        self._measure()

    async def room(self) -> None:
        """Return when less than the bounds wait."""
        if not self._room.is_set():
            self._counters.outbox_full_total += 1
            await self._room.wait()

    def release(self) -> None:
        """The shard was given up: nobody needs to wait for room any more."""
        self._waiting.clear()
        self._bytes = 0
        self._measure()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            if not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            try:
                await self._step()
            except (KafkaError, ProducerSendError, TwzrdError, TimeoutError) as error:
                self._counters.output_retries_total += 1
                _log.warning(
                    "partition %d: %d outputs could not be written (%r); they are kept and sent again",
                    self._partition,
                    len(self._waiting),
                    error,
                )
                await asyncio.sleep(RETRY_S)

    async def _step(self) -> None:
        head = self._waiting[0]
        if isinstance(head, ResealRequest):  # everything before it is durable: it has become the head
            answered = await self._answer(self._shard, head)
            self._counters.reseals_answered_total += 1
            if not self._waiting or self._waiting[0] is not head:
                return  # given up meanwhile
            if answered is None:
                self._pop()
            else:
                self._waiting[0] = answered
                self._bytes += size_bytes(answered)
            return
        run: list[Output] = []
        for output in self._waiting:
            if isinstance(output, ResealRequest):
                break
            run.append(output)
        await self._write(run)
        for output in run:
            if not self._waiting or self._waiting[0] is not output:
                return  # given up meanwhile; what was written is written, the next owner writes it again
            self._pop()
            self._shard.acknowledged(output.ordinal)
            self._metrics.counters.outputs_total += 1

    async def _write(self, run: list[Output]) -> None:
        """All records of these outputs, durable on return. A header goes only after its parts are durable, so a
        reader never meets a header whose parts were lost."""
        flying: list[Awaitable[Any]] = []
        try:
            for output in run:
                partition = 0 if output.stream == DEAD else self._partition
                *parts, last = output.records
                if parts:
                    futures = [await self._send(output.stream, partition, key, value) for key, value in parts]
                    await _all(futures)
                flying.append(await self._send(output.stream, partition, *last))
        finally:
            await _all(flying)

    def _pop(self) -> None:
        self._bytes -= size_bytes(self._waiting.popleft())
        self._measure()

    def _measure(self) -> None:
        if len(self._waiting) <= MAX_OUTPUTS and self._bytes <= MAX_BYTES:
            self._room.set()
        else:
            self._room.clear()


async def _all(futures: Sequence[Awaitable[Any]]) -> None:
    """Wait for every future, so that no failure goes unseen, then raise the first failure."""
    for result in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
