"""Counters of parts reach Prometheus under the names that docs/control.md explains."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from infra import counters
from projections.day_files import DayFileCounters
from projections.raw_events import RawCounters
from streams.collect.live.closer import CloserCounters
from streams.collect.live.control import ControlCounters
from streams.collect.live.discovery import DiscoveryCounters
from streams.collect.live.helix import HelixCounters

DOCS = (Path(__file__).parents[3] / "docs" / "control.md").read_text()
PARTS = [
    ("control", ControlCounters()),
    ("discovery", DiscoveryCounters()),
    ("helix", HelixCounters()),
    ("closer", CloserCounters()),
    ("raw_events", RawCounters()),
    ("raw_messages", RawCounters()),
    ("raw_events_files", DayFileCounters()),
]


@pytest.mark.parametrize(("prefix", "part"), PARTS, ids=[prefix for prefix, _ in PARTS])
def test_every_counter_is_shown_as_it_stands_and_explained(prefix: str, part: Any) -> None:
    registry = CollectorRegistry()
    counters.show(registry, prefix, part)
    name = next(iter(asdict(part)))
    setattr(part, name, 41)
    shown = generate_latest(registry).decode()
    assert f"twzrd_{prefix}_{name} 41.0" in shown
    for field in asdict(part):
        assert re.search(rf"twzrd_{prefix}_{field} ", shown)
        # Names in one row share their beginning: `twzrd_helix_requests_total, _retries_total`.
        assert re.search(rf"twzrd_{prefix}_(\w+, _)*{field}\b", DOCS) or f", twzrd_{prefix}_{field}" in DOCS, field
