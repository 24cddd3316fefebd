"""How much each client may ask through POST /rpc: one token bucket a client, a bounded number of clients.

In: a client's key and a cost. Out: nothing, or how long it has to wait.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

from streams.chain.rpc.bucket import TokenBucket


class ClientBuckets:
    """Over the bound of clients the one heard of longest ago is forgotten; its bucket would have been the fullest."""

    def __init__(self, rate_per_s: float, burst: float, max_clients: int, now_s: Callable[[], float]) -> None:
        self._rate_per_s, self.burst, self._max_clients, self._now_s = rate_per_s, burst, max_clients, now_s
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self.forgotten_total = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, cost: float) -> float:
        """0 where the client may, else the seconds until it may."""
        now_s = self._now_s()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = TokenBucket(self._rate_per_s, self.burst, now_s)
            if len(self._buckets) > self._max_clients:
                self._buckets.popitem(last=False)
                self.forgotten_total += 1
        self._buckets.move_to_end(client)
        return 0.0 if bucket.take(now_s, cost) else bucket.ready_in_s(now_s, cost)


def client_of(address: str) -> str:
    """The key of an address: of IPv6 the /64, since one customer has the whole of it; of a mapped IPv4 the IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
