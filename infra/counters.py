"""Counters of a part, a dataclass of whole numbers, as Prometheus shows them: read when somebody scrapes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class _Shown(Collector):
    def __init__(self, prefix: str, counters: Any, sizes: tuple[str, ...]) -> None:
        self._prefix, self._counters, self._sizes = prefix, counters, sizes

    def collect(self) -> Iterator[Metric]:
        for name, value in asdict(self._counters).items():
            shown = f"twzrd_{self._prefix}_{name.removesuffix('_total')}"
            kind = GaugeMetricFamily if name.startswith(self._sizes) else CounterMetricFamily
            yield kind(shown, name.replace("_", " "), value=float(value))


def show(registry: CollectorRegistry, prefix: str, counters: Any, *, sizes: tuple[str, ...] = ()) -> None:
    """Register a dataclass of counters: each field NAME_total becomes twzrd_PREFIX_NAME_total. sizes: beginnings of the
    names of fields that say how it stands, not how often something was."""
    registry.register(_Shown(prefix, counters, sizes))
