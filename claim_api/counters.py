"""What the API counts, as plain integers on the hit path and as Prometheus metrics when somebody asks.

prometheus_client's own counters take a lock and a look-up each; here a request costs one dict entry and one bisect.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

LATENCY_BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Latency:
    """A histogram of seconds."""

    __slots__ = ("buckets", "total_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class Counters(Collector):
    """One process's counts. Keys are ours, never a client's text, so their number is bounded by the code."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        """By route and status."""
        self.latency: dict[str, Latency] = {}
        self.refused: Counter[str] = Counter()
        """By error code, and by bound."""
        self.events: Counter[str] = Counter()
        """Everything else that is counted, by name."""
        self.gauges: dict[str, Callable[[], float]] = {}
        """Values that are read when asked for."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request answered."""
        self.requests[route, status] += 1
        latency = self.latency.get(route)
        if latency is None:
            latency = self.latency[route] = Latency()
        latency.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        requests = CounterMetricFamily("twzrd_api_requests", "Requests answered", labels=["route", "status"])
        for (route, status), count in list(self.requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily("twzrd_api_request_seconds", "Time to answer", labels=["route"])
        for route, latency in list(self.latency.items()):
            seconds.add_metric([route], _cumulative(latency), latency.total_s)
        yield seconds
        refused = CounterMetricFamily("twzrd_api_refused", "Requests refused, by error code", labels=["code"])
        for code, count in list(self.refused.items()):
            refused.add_metric([code], count)
        yield refused
        for name, count in sorted(self.events.items()):
            yield CounterMetricFamily(f"twzrd_api_{name}", f"Count of {name.replace('_', ' ')}", value=count)
        for name, read in self.gauges.items():
            yield GaugeMetricFamily(f"twzrd_api_{name}", f"Now: {name.replace('_', ' ')}", value=read())


def _cumulative(latency: Latency) -> list[tuple[str, float]]:
    total = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, LATENCY_BOUNDS_S), "+Inf"], latency.buckets, strict=True):
        total += count
        found.append((bound, total))
    return found
