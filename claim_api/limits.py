"""How often somebody may ask: token buckets by session, address or wallet, in memory, least recently used out first.

In: the name of a rule and who asks. Out: nothing, or an ApiError of 429 with Retry-After. Each process has its own
buckets: with n processes a client may get up to n times the rate.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Final

from claim_api.errors import ApiError
from claim_api.part_counters import PartCounters
from claim_api.request import Request

MAX_BUCKETS: Final = 50_000
"""Of one rule; about 10 MB when full."""
IPV6_PREFIX: Final = 64
"""A household gets so much of IPv6: one bucket for it."""
FORWARDED: Final = b"x-forwarded-for"
MAX_FORWARDED_HOPS: Final = 16

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Rate:
    """burst: so many at once; then one each 60 / per_minute seconds."""

    burst: int
    per_minute: float


RATES: Final[Mapping[str, Rate]] = {
    "sign_in": Rate(20, 20),
    "sign_in_all": Rate(300, 1_200),
    "change": Rate(30, 30),
    "wallet": Rate(10, 6),
    "read": Rate(120, 240),
    "public": Rate(60, 60),
}
"""By rule. sign_in: per address, each step of signing in; sign_in_all: the same of everybody together, so that the
table of states stays small; change: per session, whatever changes state; wallet: per wallet address; read: per
session, private reads; public: per address, sums of wallets and of everybody, and actions."""


class Limits:
    """One process's buckets. trusted: proxies whose X-Forwarded-For is believed. clock_s: monotonic."""

    def __init__(
        self,
        counters: PartCounters,
        rates: Mapping[str, Rate] = RATES,
        trusted: Sequence[Network] = (),
        clock_s: Callable[[], float] = monotonic,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self._counters, self._trusted, self._clock_s, self._max_buckets = counters, tuple(trusted), clock_s, max_buckets
        self._rates = dict(rates)
        self._buckets: dict[str, OrderedDict[str, tuple[float, float]]] = {rule: OrderedDict() for rule in rates}
        counters.gauges["limit_buckets"] = lambda: sum(map(len, self._buckets.values()))

    def take(self, rule: str, who: str) -> None:
        """One from the bucket of `who` (a session's hash as hex, a wallet, a name). Raises ApiError 429."""
        rate, buckets, now_s = self._rates[rule], self._buckets[rule], self._clock_s()
        level, at_s = buckets.pop(who, (float(rate.burst), now_s))
        level = min(float(rate.burst), level + (now_s - at_s) * rate.per_minute / 60)
        allowed = level >= 1
        buckets[who] = (level - 1 if allowed else level, now_s)
        if len(buckets) > self._max_buckets:
            buckets.popitem(last=False)
            self._counters.counts["limit_buckets_dropped", rule] += 1
        if not allowed:
            self._counters.counts["limited", rule] += 1
            raise rate_limited(math.ceil((1 - level) * 60 / rate.per_minute))

    def take_of_address(self, rule: str, request: Request) -> None:
        """The same by where the request comes from. Raises ApiError 429."""
        self.take(rule, self.address(request))

    def address(self, request: Request) -> str:
        """The client's address: the peer's, or what trusted proxies in a row say before them; of IPv6 its /64."""
        address = request.peer
        if self._trusted and self._is_trusted(address):
            said = b",".join(request.every_header(FORWARDED)).decode("latin-1").split(",")
            # From the nearest proxy outwards: what stands before an untrusted one is only that one's word.
            for hop in reversed(said[-MAX_FORWARDED_HOPS:]):
                if _parsed(hop.strip()) is None:
                    break
                address = hop.strip()
                if not self._is_trusted(address):
                    break
        found = _parsed(address)
        if isinstance(found, IPv6Address):
            mapped = found.ipv4_mapped
            return str(mapped) if mapped else str(ip_network((found, IPV6_PREFIX), strict=False))
        return str(found) if found else "unknown"

    def _is_trusted(self, address: str) -> bool:
        found = _parsed(address)
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return found is not None and any(found in network for network in self._trusted)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def rate_limited(retry_after_s: int) -> ApiError:
    """429 with Retry-After."""
    return ApiError(
        429,
        "rate_limited",
        "too many requests of this kind came from here",
        f"try again in {retry_after_s} s",
        [(b"retry-after", b"%d" % retry_after_s)],
    )
