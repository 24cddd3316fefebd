"""Outputs of one shard on their way to a log without transactions: in order, again until durable, then acknowledged.

In: what Shard.feed gave. Out: appends to `epoch.sealed` and `dead`. What is durable is always a prefix of what was put
in: the next append starts only when the last one is acknowledged. A later seal without an earlier one would make the
next owner believe that the earlier one had been written. A repeated output has the same bytes, so readers take it once.
Used by both engines on Kafka: streams.runner.kafka and streams.agents.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from schemas.streams import DEAD, EPOCH_SEALED
from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard
from streams.log.port import Append, LogError
from streams.runner.backoff import Backoff
from streams.runner.driver import size_bytes, to_appends
from streams.runner.metrics import RunnerMetrics
from streams.runner.reseal import Answer

MAX_OUTPUTS: Final = 1000
MAX_BYTES: Final = 32 << 20
"""Beyond these the engine waits before it folds on."""
APPEND_BYTES: Final = 4 << 20
"""Of one append, unless a single output is larger."""

_log = logging.getLogger(__name__)

Send = Callable[[str, Sequence[Append]], Awaitable[object]]
"""Append these records to that stream: all of them are durable when it is done; after a LogError a prefix of each
partition's records may be there. `Log.append` is one."""


class Outbox:
    """FIFO of one shard. One task runs `run` until it is cancelled."""

    def __init__(self, shard: Shard, send: Send, answer: Answer, metrics: RunnerMetrics) -> None:
        """answer: makes the output that a reseal request asks for."""
        self._shard = shard
        self._send = send
        self._answer = answer
        self._counters = metrics.counters
        self._waiting: deque[Output | ResealRequest] = deque()
        self._bytes = 0
        self._given_up = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._never = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """The engine must wait."""
        return not self._room.is_set()

    def put(self, outputs: Sequence[Output | ResealRequest]) -> None:
        """Queue what feed() gave; then the caller awaits room()."""
        if not outputs:
            return
        self._waiting.extend(outputs)
        self._bytes += sum(size_bytes(output) for output in outputs)
        self._filled.set()
        self._measure()

    async def room(self) -> None:
        """Return when less than the bounds waits."""
        if self.full:
            self._counters.outbox_full_total += 1
            await self._room.wait()

    async def empty(self) -> None:
        """Return when all is durable."""
        await self._empty.wait()

    def release(self) -> None:
        """The shard was given up, and `run` cancelled: nobody needs to wait for room any more, and nothing that is
        under way is acknowledged. What was written is written; the next owner writes it again."""
        self._given_up = True
        self._waiting.clear()
        self._bytes = 0
        self._measure()

    async def run(self) -> None:
        """Write for ever; a lost log is tried again. Raises SchemaError where `epoch.sealed` cannot be understood."""
        backoff = Backoff()
        while not self._given_up:
            await self._filled.wait()
            try:
                head = self._waiting[0]
                if isinstance(head, ResealRequest):
                    await self._make_answer(head)
                else:
                    await self._write(self._run_of_outputs())
            except LogError as error:
                self._counters.log_lost_total += 1
                _log.warning(
                    "partition %d: %d outputs could not be written: %s; they are kept and written again",
                    self._shard.partition,
                    len(self._waiting),
                    error,
                )
                await backoff.wait(self._never)
            else:
                backoff.reset()

    async def _make_answer(self, request: ResealRequest) -> None:
        """All that came before the request is durable: it has become the head."""
        made = await self._answer(self._shard, request)
        if self._given_up:
            return
        self._counters.reseals_answered_total += 1
        if made is None:
            self._done(1)
        else:
            self._waiting[0] = made
            self._bytes += size_bytes(made)

    def _run_of_outputs(self) -> list[Output]:
        run: list[Output] = []
        held_bytes = 0
        for output in self._waiting:
            if isinstance(output, ResealRequest):
                break
            held_bytes += size_bytes(output)
            if run and held_bytes > APPEND_BYTES:
                break
            run.append(output)
        return run

    async def _write(self, run: Sequence[Output]) -> None:
        for stream in (EPOCH_SEALED, DEAD):
            appends: list[Append] = []
            for output in run:
                if output.stream == stream:
                    appends += to_appends(output, self._shard.partition)
            if appends:
                await self._send(stream, appends)
        if self._given_up:
            return
        for output in run:
            self._shard.acknowledged(output.ordinal)
        self._counters.outputs_total += len(run)
        self._done(len(run))

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= size_bytes(self._waiting.popleft())
        if not self._waiting:
            self._filled.clear()
        self._measure()

    def _measure(self) -> None:
        _tell(self._room, len(self._waiting) <= MAX_OUTPUTS and self._bytes <= MAX_BYTES)
        _tell(self._empty, not self._waiting)


def _tell(event: asyncio.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()
