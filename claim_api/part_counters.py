"""What the claim side's parts count: one collector for all of them, beside the API's own.

Names and labels are ours, never a client's text, so their number is bounded by the code.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class PartCounters(Collector):
    """Counts by (name, what), shown as twzrd_web_<name>_total{what="…"}; gauges by name."""

    def __init__(self) -> None:
        self.counts: Final[Counter[tuple[str, str]]] = Counter()
        self.gauges: Final[dict[str, Callable[[], float]]] = {}

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, items in groupby(sorted(self.counts.items()), key=lambda item: item[0][0]):
            family = CounterMetricFamily(f"twzrd_web_{name}", f"Count of {name.replace('_', ' ')}", labels=["what"])
            for (_, what), count in items:
                family.add_metric([what], count)
            yield family
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"twzrd_web_{name}", f"Now: {name.replace('_', ' ')}", value=value())
