"""What a pool is made of: the nodes, and how far each thing may go."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from yarl import URL

from streams.chain.rpc.errors import RpcConfigError

DEFAULT_RATE_PER_S: Final = 25.0
"""What a small plan of a provider allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """One node. url: a secret, since it may hold a provider's key; name: what is shown instead of it, the host if none
    is given. rate_per_s and burst: requests that the provider's plan allows."""

    url: str = field(repr=False)
    name: str = ""
    rate_per_s: float = DEFAULT_RATE_PER_S
    burst: float = 2 * DEFAULT_RATE_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBounds:
    """Every limit of the pool. Times in seconds."""

    timeout_s: float = 10.0
    """Of a call, all attempts together, if the caller says none."""
    attempt_s: float = 5.0
    """Of one node's answer; later it is a fault of the node."""
    rounds: int = 2
    """How often a call may go round all nodes."""
    round_pause_s: float = 0.2
    in_flight: int = 256
    """Calls at work at once."""
    endpoint_in_flight: int = 64
    answer_bytes: int = 4 << 20
    batch_calls: int = 100
    hedge_least_s: float = 0.05
    hedge_most_s: float = 2.0
    hedge_unknown_s: float = 0.5
    """Wait before the second node is asked: the first one's 95th percentile, within these; the last while unknown."""
    hedge_share: float = 0.1
    """Hedges for each call, in the long run, so that a slow day does not double the load."""
    hedge_burst: float = 10.0
    rest_most_s: float = 120.0
    """Longest that a Retry-After is obeyed."""
    probe_every_s: float = 5.0
    probe_s: float = 3.0
    max_lag_slots: int = 50
    """A node further behind the best is asked last. About 20 s."""
    breaker_failures: int = 3
    breaker_first_s: float = 1.0
    breaker_last_s: float = 60.0


def endpoints_of(urls: str, rate_per_s: float = DEFAULT_RATE_PER_S) -> list[EndpointConfig]:
    """Nodes of a list of addresses with commas, as TWZRD_RPC_URLS has it, each with that rate and twice it at once."""
    return [
        EndpointConfig(url=one, rate_per_s=rate_per_s, burst=2 * rate_per_s)
        for one in (each.strip() for each in urls.split(","))
        if one
    ]


def named(endpoints: Sequence[EndpointConfig]) -> list[tuple[str, URL, EndpointConfig]]:
    """Each with its parsed address and a name of its own: the given one, or the host, with the port where two nodes
    have the same host, with a number where even that is not enough. Raises RpcConfigError, which never shows an
    address."""
    if not endpoints:
        raise RpcConfigError("no RPC node is named; give at least one address in TWZRD_RPC_URLS")
    parsed = [_parsed(index, one) for index, one in enumerate(endpoints, 1)]
    names = [one.name or url.host or "" for one, url in zip(endpoints, parsed, strict=True)]
    doubled = {name for name, count in Counter(names).items() if count > 1}
    names = [
        f"{name}:{url.port}" if name in doubled and not one.name else name
        for name, one, url in zip(names, endpoints, parsed, strict=True)
    ]
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}#{seen[name]}"
    return list(zip(names, parsed, endpoints, strict=True))


def _parsed(index: int, one: EndpointConfig) -> URL:
    try:
        url = URL(one.url)
        good = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        good = False
    if not good:
        # From nowhere: the library's message quotes the address.
        raise RpcConfigError(f"RPC node number {index} has no address of the form https://host/…; see TWZRD_RPC_URLS")
    return url
