"""Every number is exported with a meaning."""

from dataclasses import fields
from pathlib import Path

from prometheus_client import CollectorRegistry

from streams.collect.live.metrics import LEVEL_MEANINGS, PREFIX, CollectMetrics, Levels, register


def test_every_counter_and_level_is_exported_with_its_meaning() -> None:
    metrics, registry = CollectMetrics(), CollectorRegistry()
    metrics.joins_total = 7
    metrics.connections_ended_total["silent"] += 3
    register(metrics, lambda: Levels(5, 4, 3, 2, 1, 9), registry)
    families = {family.name: family for family in registry.collect()}
    for one in fields(CollectMetrics):
        family = families[PREFIX + one.name.removesuffix("_total")]
        assert family.documentation == one.metadata["meaning"] and len(family.documentation) > 8
    assert set(LEVEL_MEANINGS) == {one.name for one in fields(Levels)}
    assert registry.get_sample_value("twzrd_collect_joins_total") == 7
    assert registry.get_sample_value("twzrd_collect_connections_ended_total", {"reason": "silent"}) == 3
    assert registry.get_sample_value("twzrd_collect_channels_joined") == 4
    assert registry.get_sample_value("twzrd_collect_connections") == 9


def test_every_number_is_explained_in_the_chapter() -> None:
    text = (Path(__file__).parents[5] / "docs" / "collector.md").read_text()
    for one in fields(CollectMetrics):
        assert f"| `{one.name}`" in text and one.metadata["meaning"] in text
    for name, meaning in LEVEL_MEANINGS.items():
        assert f"{name}` | {meaning} |" in text
