"""One node: its secret address, and all that decides whether and when it is asked.

In: requests as bytes. Out: answers as bytes, or a Fault; what each says of the node is kept here.
"""

import asyncio
import math
import re
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from streams.chain.rpc.breaker import Breaker, State
from streams.chain.rpc.bucket import TokenBucket
from streams.chain.rpc.config import EndpointConfig, PoolBounds
from streams.chain.rpc.errors import RpcError
from streams.chain.rpc.faults import LOST, OK, Fault
from streams.chain.rpc.latency import Latency
from streams.chain.rpc.transport import post

FIRST_REST_S: Final = 1.0
REDACTED: Final = b"[redacted]"
SECRET_CHARACTERS: Final = 12
"""Shorter parts of an address are words like `mainnet`, which may stand in a result by right."""
TOLD_CHARACTERS: Final = 6
"""The same in the text of an error, where a word too many does no harm."""


class Endpoint:
    """A node under its name. Times are those of the loop."""

    def __init__(
        self, name: str, url: URL, config: EndpointConfig, bounds: PoolBounds, chance: Callable[[], float], now_s: float
    ) -> None:
        self.name = name
        self._url, self._bounds = url, bounds
        self._secrets = [part.encode() for part in _parts(url) if len(part) >= SECRET_CHARACTERS]
        told = sorted({*_parts(url), *_provider_of(url)}, key=len, reverse=True)
        self._told = re.compile("|".join(re.escape(one) for one in told), re.IGNORECASE)
        self.breaker = Breaker(
            chance, failures=bounds.breaker_failures, first_s=bounds.breaker_first_s, last_s=bounds.breaker_last_s
        )
        self.bucket = TokenBucket(config.rate_per_s, config.burst, now_s)
        self.latency = Latency()
        self.rest_until_s = -math.inf
        self._next_rest_s = FIRST_REST_S
        self.in_flight = 0
        self.waiters: deque[asyncio.Future[None]] = deque()
        """Calls that wait for a request to end while the bound of requests at work is reached."""
        self.slot: int | None = None
        self.slot_at_s = -math.inf
        self.lag_slots: int | None = None
        self.outcomes: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Endpoint {self.name}>"

    @property
    def stale(self) -> bool:
        """Behind the best by more than the bound, when last looked at."""
        return self.lag_slots is not None and self.lag_slots > self._bounds.max_lag_slots

    def score(self) -> float:
        """What an answer will take, in seconds, the more so the more it has to do."""
        return self.latency.expected_s() * (1 + self.in_flight)

    def full(self, now_s: float) -> bool:
        """Well, but with as many requests at work as it may have."""
        return self.in_flight >= self._bounds.endpoint_in_flight and self.breaker.ready_in_s(now_s) <= 0

    def ready_in_s(self, now_s: float, cost: float) -> float:
        """Seconds until its rate allows the request; infinite where it is out for another reason."""
        if self.breaker.ready_in_s(now_s) > 0 or self.in_flight >= self._bounds.endpoint_in_flight:
            return math.inf
        return max(self.rest_until_s - now_s, self.bucket.ready_in_s(now_s, cost), 0.0)

    def why_out(self, now_s: float, cost: float = 1) -> str | None:
        """In words, without anything of the address; None when it may be asked."""
        if self.breaker.state(now_s) is State.OPEN:
            return f"its breaker is open for {self.breaker.ready_in_s(now_s):.1f} s more"
        if self.breaker.ready_in_s(now_s) > 0:
            return "its breaker is half-open and a trial under way"
        if self.in_flight >= self._bounds.endpoint_in_flight:
            return f"{self.in_flight} requests are at work on it, which is the bound"
        if self.rest_until_s > now_s:
            return f"it asked to be left alone for {self.rest_until_s - now_s:.1f} s more"
        if self.bucket.ready_in_s(now_s, cost) > 0:
            return "its rate of requests is used up"
        return None

    def begin(self, now_s: float, cost: float) -> "Ticket | None":
        """Room for one request, or None. The ticket must be settled."""
        if self.ready_in_s(now_s, cost) > 0:
            return None
        permit = self.breaker.begin(now_s)
        if permit is None or not self.bucket.take(now_s, cost):
            return None
        self.in_flight += 1
        return Ticket(self, permit, now_s)

    async def post(self, session: aiohttp.ClientSession, payload: bytes, max_bytes: int) -> tuple[int, bytes]:
        """Status and body. What it may have repeated of its own address is taken out. Raises Fault."""
        status, body = await post(session, self._url, payload, max_bytes)
        for secret in self._secrets:
            if secret in body:
                body = body.replace(secret, REDACTED)
        return status, body

    def cleaned(self, error: RpcError) -> RpcError:
        """The node's error without what names its provider, which gateways like to put there."""
        data = error.data
        if data is not None:
            data = msgspec.json.decode(self._told.sub("[node]", msgspec.json.encode(data).decode()))
        return RpcError(error.code, self._told.sub("[node]", error.message), data)

    def rest(self, asked_s: float, now_s: float) -> None:
        """Left alone for as long as it asked; where it did not say, longer each time."""
        if asked_s <= 0:
            asked_s = self._next_rest_s
            self._next_rest_s = min(2 * self._next_rest_s, self._bounds.rest_most_s)
        self.rest_until_s = max(self.rest_until_s, now_s + min(asked_s, self._bounds.rest_most_s))

    def wake_one(self) -> None:
        """Room for one more request."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def rested(self) -> None:
        self._next_rest_s = FIRST_REST_S


class Ticket:
    """One request at work. The first of its ends counts; release, called when nothing else was, gives all back."""

    __slots__ = ("_began_s", "_endpoint", "_permit", "_settled")

    def __init__(self, endpoint: Endpoint, permit: int, began_s: float) -> None:
        self._endpoint, self._permit, self._began_s, self._settled = endpoint, permit, began_s, False

    def answered(self, now_s: float, outcome: str = OK) -> None:
        """The node did its part, be it with an error of the call."""
        if self._settle(outcome):
            self._endpoint.breaker.succeeded(self._permit, now_s)
            self._endpoint.latency.observe(now_s - self._began_s)
            self._endpoint.rested()

    def failed(self, fault: Fault, now_s: float) -> None:
        if self._settle(fault.kind):
            if fault.blames:
                self._endpoint.breaker.failed(self._permit, now_s)
            else:
                self._endpoint.breaker.abandoned(self._permit)
            if fault.rest_s is not None:
                self._endpoint.rest(fault.rest_s, now_s)
            self._endpoint.latency.at_least(now_s - self._began_s)

    def release(self, now_s: float) -> None:
        if self._settle(LOST):
            self._endpoint.breaker.abandoned(self._permit)
            self._endpoint.latency.at_least(now_s - self._began_s)

    def _settle(self, outcome: str) -> bool:
        if self._settled:
            return False
        self._settled = True
        self._endpoint.in_flight -= 1
        self._endpoint.wake_one()
        self._endpoint.outcomes[outcome] += 1
        return True


def _parts(url: URL) -> list[str]:
    """Parts of the address that may be keys, longest first."""
    parts = [
        url.user,
        url.password,
        *url.path.split("/"),
        *url.raw_path.split("/"),
        *url.query.values(),
        *url.query,
        url.fragment,
    ]
    return sorted({part for part in parts if part and len(part) >= TOLD_CHARACTERS}, key=len, reverse=True)


def _provider_of(url: URL) -> list[str]:
    """What names the provider: the host, its domain, and the domain's own word."""
    host = url.host or ""
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit():
        return [host]
    named = [".".join(labels[-2:]), labels[-2]]
    return [host, *(one for one in named if len(one) >= TOLD_CHARACTERS and one != "solana")]
