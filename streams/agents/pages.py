"""The worker's web pages: /live, /live/<channel>, /lag as JSON and /metrics for Prometheus. Read only, this worker's
partitions only; served by Faust's own web server on the worker's loop."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.agents.shards import Shards
from streams.agents.views import LiveViews

JSON: Final = "application/json"


def lag(shards: Shards) -> list[dict[str, Any]]:
    """Per partition: next offset to fold, the one to commit, the log's end as last heard, and the records between."""
    rows = (asdict(status) for status in shards.metrics.status())
    return [{**row, "waiting_outputs": shards.waiting_outputs(row["partition"])} for row in rows]


class WorkerMetrics(Collector):
    """What streams.runner.metrics does not have: Faust's counters, outputs that wait, watermarks by channel."""

    def __init__(self, shards: Shards, views: LiveViews) -> None:
        self._shards = shards
        self._views = views

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        for name, value in asdict(self._shards.counters).items():
            yield CounterMetricFamily(f"twzrd_worker_{name}", f"Of the Faust worker: {name}", value=value)
        waiting = GaugeMetricFamily("twzrd_shard_waiting_outputs", "Outputs not yet durable", labels=["partition"])
        for partition in sorted(self._shards.held()):
            waiting.add_metric([str(partition)], self._shards.waiting_outputs(partition))
        yield waiting
        least: dict[str, int] = {}
        for row in self._views.rows():
            if row["watermark_ms"] is not None:
                least[row["channel"]] = min(row["watermark_ms"], least.get(row["channel"], row["watermark_ms"]))
        watermarks = GaugeMetricFamily("twzrd_channel_watermark_ms", "Of channels with open epochs", labels=["channel"])
        for channel, watermark_ms in least.items():
            watermarks.add_metric([channel], watermark_ms)
        yield watermarks


def add_pages(app: Any, shards: Shards, views: LiveViews) -> None:
    """Register the pages with a faust.App."""
    registry = CollectorRegistry(auto_describe=False)
    shards.metrics.register(registry)
    registry.register(WorkerMetrics(shards, views))

    @app.page("/live", name="live")  # type: ignore[untyped-decorator]
    async def live(view: Any, request: Any) -> Any:
        return view.bytes(orjson.dumps(views.rows()), content_type=JSON)

    @app.page("/live/{channel}", name="live-channel")  # type: ignore[untyped-decorator]
    async def live_channel(view: Any, request: Any, channel: str) -> Any:
        rows = [row for row in views.rows() if channel in (row["channel"], row["login"])]
        return view.bytes(orjson.dumps(rows), content_type=JSON)

    @app.page("/lag", name="lag")  # type: ignore[untyped-decorator]
    async def lag_page(view: Any, request: Any) -> Any:
        return view.bytes(orjson.dumps(lag(shards)), content_type=JSON)

    @app.page("/metrics", name="metrics")  # type: ignore[untyped-decorator]
    async def metrics(view: Any, request: Any) -> Any:
        return view.bytes(generate_latest(registry), content_type="text/plain")
