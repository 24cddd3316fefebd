"""What the pool counts, and how Prometheus reads it: by the name of the node, never by anything else of its address."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

PREFIX: Final = "twzrd_rpc_"


def _counter(meaning: str) -> Any:
    return field(default=0, metadata={"meaning": meaning})


@dataclass(slots=True)
class PoolCounters:
    """Counters since the process started."""

    calls_total: int = _counter("Calls taken on, batches as one")
    calls_refused_total: int = _counter("Calls turned down at the bound of calls at work")
    calls_failed_total: int = _counter("Calls that no node answered")
    calls_late_total: int = _counter("Calls that were not answered in their time")
    failovers_total: int = _counter("Attempts that failed, after which another node was tried or the call given up")
    hedges_total: int = _counter("Second nodes asked beside a slow first one")
    hedges_won_total: int = _counter("Hedges that answered first")
    hedges_withheld_total: int = _counter("Hedges not made, as their share of the calls was used up")
    waits_for_rate_total: int = _counter("Times that a call waited for the rate of a node")
    waits_for_room_total: int = _counter("Times that a call waited, as nodes had their bound of requests at work")
    stale_asked_total: int = _counter("Attempts on a node that is behind, as no other was left")
    faults_total: int = _counter("Faults of the pool itself; should stay 0")


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """How a node stands. breaker: closed, half-open or open; out: why it is not asked now, None when it is."""

    name: str
    breaker: str
    out: str | None
    stale: bool
    slot: int | None
    lag_slots: int | None
    latency_s: float | None
    in_flight: int
    tokens: float
    opened_total: int
    outcomes: dict[str, int]


class Reporting(Protocol):
    """What the metrics are read from: a pool."""

    counters: PoolCounters

    def report(self) -> Sequence[EndpointReport]: ...


_BREAKER: Final = {"closed": 0.0, "half-open": 1.0, "open": 2.0}
_GAUGES: Final[tuple[tuple[str, str, Callable[[EndpointReport], float | None]], ...]] = (
    ("breaker", "0 closed, 1 half-open, 2 open", lambda one: _BREAKER[one.breaker]),
    ("out", "1 while the node is not asked, for whatever reason", lambda one: float(one.out is not None)),
    ("slot", "Slot of the node when last looked at", lambda one: one.slot),
    ("slot_lag", "Slots behind the best node", lambda one: one.lag_slots),
    ("latency_seconds", "Moving average of the time to answer", lambda one: one.latency_s),
    ("in_flight", "Requests at work on the node", lambda one: one.in_flight),
    ("tokens", "Requests that its rate allows now", lambda one: one.tokens),
)


class PoolMetrics(Collector):
    """Reads the numbers when Prometheus asks: registry.register(PoolMetrics(pool))."""

    def __init__(self, pool: Reporting) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        for one in fields(self._pool.counters):
            yield CounterMetricFamily(
                PREFIX + one.name, one.metadata["meaning"], value=getattr(self._pool.counters, one.name)
            )
        reports = self._pool.report()
        requests = CounterMetricFamily(
            PREFIX + "requests", "Requests to a node, by what became of them", labels=["endpoint", "outcome"]
        )
        opened = CounterMetricFamily(PREFIX + "breaker_opened", "Times that the breaker opened", labels=["endpoint"])
        for report in reports:
            opened.add_metric([report.name], report.opened_total)
            for outcome, count in sorted(report.outcomes.items()):
                requests.add_metric([report.name, outcome], count)
        yield requests
        yield opened
        for name, meaning, read in _GAUGES:
            gauge = GaugeMetricFamily(PREFIX + name, meaning, labels=["endpoint"])
            for report in reports:
                value = read(report)
                if value is not None:
                    gauge.add_metric([report.name], value)
            yield gauge
