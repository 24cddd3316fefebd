"""The pool: calls to Solana through several nodes, of which one good one is enough.

In: method and params. Out: the result, or one of errors.py's. `call` and `call_many` take the first good answer;
everywhere.py asks all nodes, where one node's word is not enough.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec

from streams.chain.rpc import everywhere, wire
from streams.chain.rpc.config import EndpointConfig, PoolBounds, named
from streams.chain.rpc.endpoint import Endpoint
from streams.chain.rpc.errors import ChainCallError, DeadlineExceeded, NoEndpoint, Overloaded, RpcError
from streams.chain.rpc.everywhere import Look, NodeOutcome
from streams.chain.rpc.health import HealthLoop
from streams.chain.rpc.metrics import EndpointReport, PoolCounters
from streams.chain.rpc.race import Asking, Question, Race
from streams.chain.rpc.transport import SessionFactory, open_session

logger: Final = logging.getLogger(__name__)
T = TypeVar("T")
Parse = Callable[[bytes], Any]
"""The JSON of a result to what the caller wants of it."""

NOT_HEDGED: Final = frozenset({"sendTransaction", "requestAirdrop"})
"""What changes something goes to one node at a time, unless the caller says otherwise."""


class RpcPool:
    """Call start before the first call and close after the last, in the loop that uses it. Time is that loop's."""

    def __init__(
        self,
        endpoints: Sequence[EndpointConfig],
        *,
        bounds: PoolBounds | None = None,
        session_factory: SessionFactory = open_session,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Raises RpcConfigError. chance: numbers of [0, 1) for what should not come in step."""
        self.bounds = bounds or PoolBounds()
        self.counters = PoolCounters()
        self._configured = named(endpoints)
        self._session_factory, self._chance = session_factory, chance
        self._ids = itertools.count(1)
        self._in_flight = 0
        self._endpoints: list[Endpoint] = []
        self._asking: Asking | None = None
        self._health: HealthLoop | None = None
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RpcPool of {', '.join(name for name, _, _ in self._configured)}>"

    async def start(self, *, watch: bool = True) -> None:
        """Opens the session and begins to watch the nodes. Needs none of them yet. watch: False leaves the looking to
        look_at_nodes."""
        now_s = asyncio.get_running_loop().time()
        self._endpoints = [
            Endpoint(name, url, config, self.bounds, self._chance, now_s) for name, url, config in self._configured
        ]
        self._asking = Asking(self._session_factory(), self.bounds, self.counters, self._chance)
        self._health = HealthLoop(self._endpoints, self._asking, self._ids)
        if watch:
            self._watching = asyncio.create_task(self._health.run())

    async def close(self) -> None:
        """Ends what is at work and closes the session."""
        if self._asking is None:
            return
        asking, self._asking = self._asking, None
        tasks = [*asking.tasks, *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asking.session.close()

    async def look_at_nodes(self) -> None:
        """One round of the watch: slot, lag and latency of each node. Raises nothing of a node's."""
        self._opened()
        assert self._health is not None
        await self._health.look()

    async def call(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        hedge: bool | None = None,
        min_context_slot: int | None = None,
        timeout_s: float | None = None,
        parse: Parse = msgspec.json.decode,
    ) -> Any:
        """The result as parse reads its JSON: where it raises, the answer is the node's fault and the next one is
        asked. hedge: ask a second node when the first is slow; by default for whatever only reads.
        min_context_slot: the node must have seen it (ValueError for a method that takes none). Raises RpcError,
        NoEndpoint, DeadlineExceeded, Overloaded."""
        question = self._question(method, params, parse, self.bounds.answer_bytes, min_context_slot)
        return await self._raced(question, method not in NOT_HEDGED if hedge is None else hedge, timeout_s)

    async def call_raw(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        hedge: bool | None = None,
        min_context_slot: int | None = None,
        timeout_s: float | None = None,
        answer_bytes: int | None = None,
    ) -> bytes:
        """The same, as the node's JSON, which is well-formed. answer_bytes: a bound below the pool's."""
        bytes_ = min(answer_bytes or self.bounds.answer_bytes, self.bounds.answer_bytes)
        question = self._question(method, params, bytes, bytes_, min_context_slot)
        return await self._raced(question, method not in NOT_HEDGED if hedge is None else hedge, timeout_s)

    async def call_many(
        self, calls: Sequence[tuple[str, Sequence[Any]]], *, hedge: bool | None = None, timeout_s: float | None = None
    ) -> list[Any | RpcError]:
        """A batch to one node: for each call its result, or its RpcError. Raises as call does; RpcError where the
        batch itself was refused; ValueError over the bound of calls in one."""
        if not calls:
            return []
        if len(calls) > self.bounds.batch_calls:
            raise ValueError(f"{len(calls)} calls in a batch; the bound is {self.bounds.batch_calls}")
        ids = [next(self._ids) for _ in calls]
        requests = [wire.request(call_id, *one) for call_id, one in zip(ids, calls, strict=True)]
        question = Question(
            method=f"batch of {len(calls)}",
            payload=wire.encode(requests),
            read=lambda body, cleaned: wire.results_of(body, ids, cleaned),
            answer_bytes=self.bounds.answer_bytes,
            cost=len(calls),
        )
        if hedge is None:
            hedge = not any(method in NOT_HEDGED for method, _ in calls)
        answers = await self._raced(question, hedge, timeout_s)
        return [one if isinstance(one, RpcError) else msgspec.json.decode(one) for one in answers]

    async def send_everywhere(
        self, transaction: bytes, *, timeout_s: float | None = None, parse: Parse = everywhere.a_text
    ) -> list[NodeOutcome]:
        """Gives a signed transaction to every node that is not out, without preflight and without the node's own
        retries: the caller repeats it until its fate is known. One outcome for each node of the pool, asked or not.
        parse: the signature that a node answers with; as in call. Raises Overloaded."""
        with self._at_work() as asking:
            return await everywhere.send(
                asking, self._endpoints, self._ids, transaction, self._timeout(timeout_s), parse
            )

    async def look_everywhere(
        self,
        method: str,
        params: Sequence[Any] = (),
        *,
        min_context_slot: int | None = None,
        timeout_s: float | None = None,
        parse: Parse = msgspec.json.decode,
    ) -> Look:
        """Asks every node that is not out and not behind. What it returns says of every node of the pool whether it
        answered, and what; "found nowhere" is the caller's to conclude, from enough of them. parse: as in call; a node
        at whose answer it raises gave none. Raises Overloaded."""
        if min_context_slot is not None:
            params = wire.with_min_context_slot(method, params, min_context_slot)
        with self._at_work() as asking:
            return await everywhere.look(
                asking, self._endpoints, self._ids, method, params, self._timeout(timeout_s), parse
            )

    def report(self) -> list[EndpointReport]:
        """How each node stands now."""
        now_s = asyncio.get_running_loop().time()
        return [
            EndpointReport(
                name=one.name,
                breaker=one.breaker.state(now_s).value,
                out=one.why_out(now_s),
                stale=one.stale,
                slot=one.slot,
                lag_slots=one.lag_slots,
                latency_s=one.latency.average_s,
                in_flight=one.in_flight,
                tokens=one.bucket.tokens(now_s),
                opened_total=one.breaker.opened_total,
                outcomes=dict(one.outcomes),
            )
            for one in self._endpoints
        ]

    @property
    def tasks(self) -> int:
        """Attempts at work now."""
        return 0 if self._asking is None else len(self._asking.tasks)

    def _question(
        self, method: str, params: Sequence[Any], parse: Callable[[bytes], T], answer_bytes: int, least_slot: int | None
    ) -> Question[T]:
        if least_slot is not None:
            params = wire.with_min_context_slot(method, params, least_slot)
        call_id = next(self._ids)
        return Question(
            method=method,
            payload=wire.encode(wire.request(call_id, method, params)),
            read=lambda body, cleaned: wire.parsed(wire.result_of(body, call_id, cleaned), parse),
            answer_bytes=answer_bytes,
            least_slot=least_slot or 0,
        )

    async def _raced(self, question: Question[T], hedge: bool, timeout_s: float | None) -> T:
        with self._at_work() as asking:
            try:
                return await Race(asking, self._endpoints, question, self._timeout(timeout_s), hedge).run()
            except NoEndpoint:
                self.counters.calls_failed_total += 1
                raise
            except DeadlineExceeded:
                self.counters.calls_late_total += 1
                raise

    def _timeout(self, timeout_s: float | None) -> float:
        return self.bounds.timeout_s if timeout_s is None else timeout_s

    def _opened(self) -> Asking:
        if self._asking is None:
            raise ChainCallError("the RPC pool is not started, or closed; call start first")
        return self._asking

    @contextmanager
    def _at_work(self) -> Iterator[Asking]:
        asking = self._opened()
        if self._in_flight >= self.bounds.in_flight:
            self.counters.calls_refused_total += 1
            raise Overloaded(self._in_flight)
        self.counters.calls_total += 1
        asking.calls += 1
        self._in_flight += 1
        try:
            yield asking
        finally:
            self._in_flight -= 1
