"""Counters of parts reach Prometheus under the names that docs/control.md and docs/intake.md explain."""

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
from streams.collect.live.control_sets import ControlCounters
from streams.collect.live.counters import IntakeCounters, OutboundCounters
from streams.collect.live.discovery import DiscoveryCounters
from streams.collect.live.helix import HelixCounters
from streams.collect.live.rename_watch import RenameCounters
from streams.collect.live.reports import ReportCounters
from streams.collect.live.texts import TextCounters

FOLDER = Path(__file__).parents[3] / "docs"
DOCS = (FOLDER / "control.md").read_text() + (FOLDER / "intake.md").read_text()
SIZES = ("queued_", "spool_bytes", "spooling")
PARTS = [
    ("control", ControlCounters()),
    ("intake", IntakeCounters()),
    ("outbound", OutboundCounters()),
    ("reports", ReportCounters()),
    ("texts", TextCounters()),
    ("discovery", DiscoveryCounters()),
    ("helix", HelixCounters()),
    ("renames", RenameCounters()),
    ("closer", CloserCounters()),
    ("raw_events", RawCounters()),
    ("raw_messages", RawCounters()),
    ("raw_events_files", DayFileCounters()),
]


@pytest.mark.parametrize(("prefix", "part"), PARTS, ids=[prefix for prefix, _ in PARTS])
def test_every_counter_is_shown_as_it_stands_and_explained(prefix: str, part: Any) -> None:
    registry = CollectorRegistry()
    counters.show(registry, prefix, part, sizes=SIZES)
    name = next(iter(asdict(part)))
    setattr(part, name, 41)
    shown = generate_latest(registry).decode()
    assert re.search(rf"^twzrd_{prefix}_{name}(_total)? 41\.0$", shown, re.M)
    for field in asdict(part):
        exported = field if field.startswith(SIZES) else f"{field.removesuffix('_total')}_total"
        assert f"\ntwzrd_{prefix}_{exported} " in shown
        # Names in one row share their beginning: `twzrd_helix_requests_total, _retries_total`.
        explained = re.search(rf"twzrd_{prefix}_(\w+, _)*{exported}\b", DOCS)
        assert explained or f", twzrd_{prefix}_{exported}" in DOCS, field
