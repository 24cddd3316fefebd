"""One call through several nodes: who is asked first, when a second one is asked beside it, which answer is taken.

In: a question and the nodes. Out: the first good answer, or the error that says most. Attempts that lost are cancelled
and give back what they held.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiohttp

from streams.chain.rpc import wire
from streams.chain.rpc.bucket import TokenBucket
from streams.chain.rpc.config import PoolBounds
from streams.chain.rpc.endpoint import Endpoint, Ticket
from streams.chain.rpc.errors import DeadlineExceeded, NoEndpoint, RpcError
from streams.chain.rpc.faults import ERROR, INTERNAL, MALFORMED, MISSHAPEN, REFUSED, TIMEOUT, Elsewhere, Fault
from streams.chain.rpc.metrics import PoolCounters

logger: Final = logging.getLogger(__name__)
T = TypeVar("T")

BLAMED_S: Final = 1.0
"""A node that was given less time than this is not blamed for being late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """payload: the request's bytes; read: an answer's body to the result, or raises RpcError, Elsewhere, Fault.
    cost: calls in it, for the rate. least_slot: nodes known to be before it are asked last."""

    method: str
    payload: bytes
    read: Callable[[bytes, wire.Cleaned], T]
    answer_bytes: int
    cost: int = 1
    least_slot: int = 0


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A node's result."""

    value: T


Outcome = Answered[T] | Fault | RpcError
Attempt = asyncio.Task[Outcome[T]]


class Asking:
    """What all calls of a pool share: how one attempt is made and what is learnt from it."""

    def __init__(
        self, session: aiohttp.ClientSession, bounds: PoolBounds, counters: PoolCounters, chance: Callable[[], float]
    ) -> None:
        self.session, self.bounds, self.counters, self.chance = session, bounds, counters, chance
        self.hedges = TokenBucket(1.0, bounds.hedge_burst, 0.0)
        self.calls = 0
        self.tasks: set[asyncio.Task[Any]] = set()
        """Attempts at work, those that were cancelled and have not ended yet included."""

    def start(self, endpoint: Endpoint, question: Question[T], timeout_s: float) -> Attempt[T] | None:
        """An attempt, or None where the node may not be asked now."""
        loop = asyncio.get_running_loop()
        ticket = endpoint.begin(loop.time(), question.cost)
        if ticket is None:
            return None
        task = loop.create_task(self._attempt(endpoint, ticket, question, timeout_s))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        # Not in the coroutine: a task cancelled before its first step never enters it.
        task.add_done_callback(lambda _: ticket.release(loop.time()))
        return task

    def may_hedge(self) -> bool:
        """Takes from the budget: so many hedges for each call. The budget's time is the number of calls."""
        return self.hedges.take(self.calls * self.bounds.hedge_share)

    async def _attempt(self, endpoint: Endpoint, ticket: Ticket, question: Question[T], timeout_s: float) -> Outcome[T]:
        clock = asyncio.get_running_loop().time
        fault: Fault
        try:
            async with asyncio.timeout(timeout_s):
                status, body = await endpoint.post(self.session, question.payload, question.answer_bytes)
            result = _read(question, endpoint, status, body)
        except RpcError as error:
            ticket.answered(clock(), ERROR)
            return error
        except Fault as found:
            fault = found
        except TimeoutError:
            fault = Fault(TIMEOUT, blames=timeout_s >= BLAMED_S, detail=f"{timeout_s:.1f} s")
        except Exception as error:  # noqa: BLE001 - whatever one node does to us, the call goes to the next
            # The name alone: the text may hold the address.
            logger.error("node %s: %s while %s was asked", endpoint.name, type(error).__name__, question.method)
            self.counters.faults_total += 1
            fault = Fault(INTERNAL)
        else:
            ticket.answered(clock())
            return Answered(result)
        ticket.failed(fault, clock())
        return fault


def _read(question: Question[T], endpoint: Endpoint, status: int, body: bytes) -> T:
    try:
        result = question.read(body, endpoint.cleaned)
    except Fault as fault:
        if status != 200 and fault.kind in (MALFORMED, MISSHAPEN):
            raise Fault(REFUSED, detail=str(status)) from None
        raise
    if status != 200:
        raise Fault(REFUSED, detail=str(status))
    return result


class Race(Generic[T]):
    """See the module. One per call."""

    def __init__(
        self, asking: Asking, endpoints: Sequence[Endpoint], question: Question[T], timeout_s: float, hedge: bool
    ) -> None:
        self._asking, self._endpoints, self._question = asking, endpoints, question
        self._timeout_s, self._hedge = timeout_s, hedge
        self._bounds = asking.bounds
        self._clock = asyncio.get_running_loop().time
        self._deadline_s = self._clock() + timeout_s
        self._running: dict[Attempt[T], Endpoint] = {}
        self._hedged: set[Attempt[T]] = set()
        self._tried: set[str] = set()
        self._round = 1
        self._reasons: dict[str, str] = {}
        self._elsewhere: Elsewhere | None = None
        self._decided: set[str] = set()
        """Nodes whose error would be the same in the next round."""

    async def run(self) -> T:
        """The result. Raises RpcError, NoEndpoint, DeadlineExceeded."""
        hedge_at_s = math.inf
        try:
            while True:
                if not self._running:
                    first = self._start_next()
                    if first is None:
                        if await self._nobody_left():
                            continue
                        return self._given_up()
                    hedge_at_s = self._clock() + self._hedge_after_s(first) if self._hedge else math.inf
                wait_s = min(hedge_at_s, self._deadline_s) - self._clock()
                done, _ = await asyncio.wait(
                    self._running, timeout=max(0.0, wait_s), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    outcome = self._taken(task)
                    if isinstance(outcome, Answered):
                        return outcome.value
                if self._clock() >= self._deadline_s:
                    raise self._late()
                if self._running and self._clock() >= hedge_at_s:
                    hedge_at_s = math.inf
                    self._start_hedge()
        finally:
            for task in self._running:
                task.cancel()

    def _taken(self, task: Attempt[T]) -> Answered[T] | Fault:
        endpoint = self._running.pop(task)
        if task.cancelled():  # the pool is being closed
            outcome: Outcome[T] = Fault(INTERNAL, detail="closed")
        else:
            outcome = task.result()
        if isinstance(outcome, RpcError):
            raise outcome
        if isinstance(outcome, Fault):
            self._reasons[endpoint.name] = outcome.meaning
            if isinstance(outcome, Elsewhere):
                self._elsewhere = outcome
                self._decided.add(endpoint.name)
            self._asking.counters.failovers_total += 1
        elif task in self._hedged:
            self._asking.counters.hedges_won_total += 1
        return outcome

    def _untried(self) -> list[Endpoint]:
        least = self._question.least_slot
        found = [one for one in self._endpoints if one.name not in self._tried]
        return sorted(found, key=lambda one: (one.stale, one.slot is not None and one.slot < least, one.score()))

    def _start_next(self) -> Endpoint | None:
        untried = self._untried()
        for endpoint in untried:
            task = self._asking.start(endpoint, self._question, self._share_s(untried))
            if task is not None:
                self._tried.add(endpoint.name)
                self._running[task] = endpoint
                if endpoint.stale:
                    self._asking.counters.stale_asked_total += 1
                return endpoint
        return None

    def _share_s(self, untried: Sequence[Endpoint]) -> float:
        """How long one node may take: nodes that hang must leave time to the others. The last one has what is left; it
        is not cut to the deadline, which is its caller's and no fault of the node."""
        now_s = self._clock()
        ready = sum(one.ready_in_s(now_s, self._question.cost) <= 0 for one in untried)
        if ready <= 1:
            return self._bounds.attempt_s
        return min(self._bounds.attempt_s, max(0.0, self._deadline_s - now_s) / ready)

    def _start_hedge(self) -> None:
        ready = [one for one in self._untried() if not one.stale and one.why_out(self._clock()) is None]
        if not ready:
            return
        if not self._asking.may_hedge():
            self._asking.counters.hedges_withheld_total += 1
            return
        before = set(self._running)
        if self._start_next() is not None:
            self._asking.counters.hedges_total += 1
            self._hedged |= set(self._running) - before

    def _hedge_after_s(self, endpoint: Endpoint) -> float:
        p95_s = endpoint.latency.p95_s()
        if p95_s is None:
            return self._bounds.hedge_unknown_s
        return min(max(p95_s, self._bounds.hedge_least_s), self._bounds.hedge_most_s)

    async def _nobody_left(self) -> bool:
        """Waits for a node's rate, or for another round. False when there is nothing to wait for."""
        now_s = self._clock()
        full = [one for one in self._untried() if one.full(now_s)]
        if full:
            return await self._room_in(full)
        wait_s = min((one.ready_in_s(now_s, self._question.cost) for one in self._untried()), default=math.inf)
        if math.isfinite(wait_s):
            if now_s + wait_s >= self._deadline_s:
                return False
            self._asking.counters.waits_for_rate_total += 1
        elif self._tried - self._decided and self._round < self._bounds.rounds:
            wait_s = self._bounds.round_pause_s * (0.5 + self._asking.chance())
            if now_s + wait_s >= self._deadline_s:
                return False
            self._round += 1
            self._tried &= self._decided
        else:
            return False
        await asyncio.sleep(wait_s)
        return True

    async def _room_in(self, full: list[Endpoint]) -> bool:
        """Waits until a request to one of them ends. False when time is up first."""
        waiter = asyncio.get_running_loop().create_future()
        for endpoint in full:
            endpoint.waiters.append(waiter)
        self._asking.counters.waits_for_room_total += 1
        try:
            await asyncio.wait({waiter}, timeout=max(0.0, self._deadline_s - self._clock()))
            return waiter.done()
        finally:
            for endpoint in full:
                if waiter in endpoint.waiters:
                    endpoint.waiters.remove(waiter)

    def _given_up(self) -> T:
        if self._elsewhere is not None:
            if self._elsewhere.instead is not None:
                instead: T = self._elsewhere.instead
                return instead
            raise self._elsewhere.error
        raise NoEndpoint(self._question.method, self._all_reasons())

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(self._question.method, self._timeout_s, self._all_reasons())

    def _all_reasons(self) -> dict[str, str]:
        asked = {endpoint.name: "no answer yet" for endpoint in self._running.values()}
        now_s = self._clock()
        return {
            one.name: self._reasons.get(one.name)
            or asked.get(one.name)
            or one.why_out(now_s, self._question.cost)
            or "not asked"
            for one in self._endpoints
        }
