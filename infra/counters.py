"""Counters of a part, a dataclass of whole numbers, as Prometheus shows them: read when somebody scrapes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class _Shown(Collector):
    def __init__(self, prefix: str, counters: Any) -> None:
        self._prefix, self._counters = prefix, counters

    def collect(self) -> Iterator[Metric]:
        for name, value in asdict(self._counters).items():
            plain = name.removesuffix("_total")
            yield CounterMetricFamily(f"twzrd_{self._prefix}_{plain}", name.replace("_", " "), value=value)


def show(registry: CollectorRegistry, prefix: str, counters: Any) -> None:
    """Register a dataclass of counters: each field NAME_total becomes twzrd_PREFIX_NAME_total."""
    registry.register(_Shown(prefix, counters))
