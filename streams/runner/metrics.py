"""What a runner shows of itself: where each partition stands, and counters that outlive a shard.

In: shards as they run. Out: `status()` for the command line, and a Prometheus collector that reads on scrape.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.core.outputs import ShardMetrics
from streams.core.shard import Shard

SHARD_COUNTERS: Final = tuple(asdict(ShardMetrics()))
READ_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """Where one partition stands. Offsets of chat.events; end is as last asked for."""

    partition: int
    next: int
    low_water: int
    end: int
    lag_records: int
    watermark_lag_ms: int | None
    open_bytes: int


@dataclass(slots=True)
class RunnerCounters:
    """What happened around the shards."""

    transactions_total: int = 0
    outputs_total: int = 0
    outbox_full_total: int = 0
    """Times the engine waited for the log to take outputs (Kafka)."""
    reseals_answered_total: int = 0
    """By an outbox (Kafka)."""
    shards_started_total: int = 0
    fenced_total: int = 0
    log_lost_total: int = 0
    guard_seeks_total: int = 0
    """Records offered that were not `next`; the runner went back."""
    gap_skips_total: int = 0
    """Offsets that were proved to hold no record (Kafka)."""
    shards_kept_total: int = 0
    commits_refused_total: int = 0
    rebalances_total: int = 0


@dataclass(slots=True)
class RunnerMetrics:
    """Shards of one worker. Engines call started, stopped and set `ends`."""

    counters: RunnerCounters = field(default_factory=RunnerCounters)
    shards: dict[int, Shard] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    _past: dict[int, ShardMetrics] = field(default_factory=dict)

    def started(self, shard: Shard) -> None:
        """A shard is now fed."""
        self.counters.shards_started_total += 1
        self.shards[shard.partition] = shard

    def stopped(self, partition: int) -> None:
        """That partition's shard was dropped; its counters stay."""
        shard = self.shards.pop(partition, None)
        if shard is not None:
            self._past[partition] = self._total(partition, shard.metrics)

    def _total(self, partition: int, current: ShardMetrics | None) -> ShardMetrics:
        past = self._past.get(partition, ShardMetrics())
        if current is None:
            return past
        return ShardMetrics(*(getattr(past, name) + getattr(current, name) for name in SHARD_COUNTERS))

    def totals(self) -> dict[int, ShardMetrics]:
        """Counters per partition since the worker started; a record fed again counts again."""
        return {
            partition: self._total(partition, self.shards[partition].metrics if partition in self.shards else None)
            for partition in sorted(self._past.keys() | self.shards.keys())
        }

    def status(self) -> list[PartitionStatus]:
        """Where each held partition stands. Prometheus asks from a thread of its own, while the shards are fed."""
        return [self._settled(shard) for _, shard in sorted(self.shards.items())]

    def _settled(self, shard: Shard) -> PartitionStatus:
        """Reads again where the shard changed meanwhile: Python then refuses to go on over its dictionaries."""
        for _ in range(READ_TRIES):
            with contextlib.suppress(RuntimeError):
                return self._status(shard)
        return self._status(shard)

    def _status(self, shard: Shard) -> PartitionStatus:
        end = max(self.ends.get(shard.partition, shard.next), shard.next)
        watermark_ms = shard.least_watermark_ms()
        return PartitionStatus(
            shard.partition,
            shard.next,
            shard.low_water(),
            end,
            end - shard.next,
            None if watermark_ms is None else max(0, self.now_ms() - watermark_ms),
            shard.open_bytes(),
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Export through that registry."""
        registry.register(_Exported(self))


class _Exported(Collector):
    """Reads RunnerMetrics when Prometheus asks."""

    def __init__(self, metrics: RunnerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        gauges = {
            "next": GaugeMetricFamily("twzrd_shard_next", "Next offset to be folded", labels=["partition"]),
            "low_water": GaugeMetricFamily("twzrd_shard_low_water", "Lowest offset still needed", labels=["partition"]),
            "lag_records": GaugeMetricFamily("twzrd_shard_lag_records", "Records not yet folded", labels=["partition"]),
            "open_bytes": GaugeMetricFamily("twzrd_shard_open_bytes", "Memory of open epochs", labels=["partition"]),
        }
        lag = GaugeMetricFamily(
            "twzrd_shard_watermark_lag_seconds", "Now less the slowest channel's watermark", labels=["partition"]
        )
        for status in self._metrics.status():
            for name, gauge in gauges.items():
                gauge.add_metric([str(status.partition)], getattr(status, name))
            if status.watermark_lag_ms is not None:
                lag.add_metric([str(status.partition)], status.watermark_lag_ms / 1000)
        yield from gauges.values()
        yield lag
        totals = self._metrics.totals()
        for name in SHARD_COUNTERS:
            counter = CounterMetricFamily(f"twzrd_shard_{name}", f"Of the shards: {name}", labels=["partition"])
            for partition, metrics in totals.items():
                counter.add_metric([str(partition)], getattr(metrics, name))
            yield counter
        for name, value in asdict(self._metrics.counters).items():
            yield CounterMetricFamily(f"twzrd_runner_{name}", f"Of the runner: {name}", value=value)
