"""What a collector counts beside what passes through its intake, and how Prometheus reads it.

In: increments from connection, pool and reconciler, from history and from what is kept over restarts. Out: a dataclass
whose fields bear their meaning, exported on scrape under `twzrd_collect_`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "twzrd_collect_"


def _counter(meaning: str) -> Any:
    return field(default=0, metadata={"meaning": meaning})


def _by(label: str, meaning: str) -> Any:
    return field(default_factory=Counter, metadata={"meaning": meaning, "label": label})


@dataclass(slots=True)
class CollectMetrics:
    """Counters since the process started."""

    bytes_total: int = _counter("Bytes read from chat servers, after TLS")
    reads_total: int = _counter("Reads from sockets that gave bytes")
    control_lines_total: int = _counter("Lines that were not chat and were acted on")
    control_lines_malformed_total: int = _counter("Lines that were not chat and not of IRC's form; passed over")
    lines_over_limit_total: int = _counter("Lines longer than 64 KiB; cut, and the rest skipped up to their end")
    bytes_skipped_total: int = _counter("Bytes left out of lines over the limit")
    connects_total: int = _counter("Connections that were tried")
    connected_total: int = _counter("Connections that were welcomed by the server")
    connect_failures_total: Counter[str] = _by("reason", "Connections that did not come about")
    connections_ended_total: Counter[str] = _by("reason", "Welcomed connections that ended")
    reconnects_asked_total: int = _counter("RECONNECT said by the server; channels were moved first")
    capabilities_denied_total: int = _counter("Capabilities that a server refused")
    pings_sent_total: int = _counter("Own PINGs")
    pongs_total: int = _counter("PONGs that answered an own PING")
    pongs_wrong_total: int = _counter("PONGs that answered none of our PINGs; no sign of life of the answering side")
    pings_unanswered_total: int = _counter("Times that PINGs stayed unanswered for 30 s though lines went on")
    joins_total: int = _counter("JOINs sent")
    joins_confirmed_total: int = _counter("Channels that the server confirmed")
    joins_timed_out_total: int = _counter("JOINs without an answer within their time")
    deaf_connections_total: int = _counter("Connections left since they answered PINGs and no JOINs")
    joins_waited_total: int = _counter("Times that JOINs had to wait for the pacing")
    join_times_unreadable_total: int = _counter("Starts that found the last JOINs' times unreadable; JOINs waited")
    join_times_save_errors_total: int = _counter("Times that the JOINs' times could not be kept for the next start")
    parts_total: int = _counter("PARTs sent")
    refusals_total: Counter[str] = _by("reason", "Channels refused or taken away by the server")
    moves_total: int = _counter("Channels moved to another connection without a gap")
    channels_lost_total: int = _counter("Channels that fell silent because their connection ended")
    identity_changes_total: int = _counter("Channels whose login now answers with another room-id")
    renames_total: int = _counter("Channels found again by their room-id under another login")
    members_joined_total: int = _counter("JOINs of others, only with the membership capability; counted, no more")
    members_parted_total: int = _counter("PARTs of others, only with the membership capability; counted, no more")
    members_listed_total: int = _counter("Names of others in lists (353), only with the membership capability")
    wanted_refused_total: int = _counter("Wanted names that are no login, or over the bound of channels")
    said_unreadable_total: int = _counter(
        "Starts that found said.json unreadable or of another version; the closer closes the hole"
    )
    said_save_errors_total: int = _counter("Times that said.json could not be written; it is tried again")
    gaps_total: int = _counter("Holes that history was asked for")
    gaps_too_many_total: int = _counter("Holes over the bound of those in work; declared absent at once")
    gap_tries_total: int = _counter("Times that history of a hole was asked for")
    gap_tries_failed_total: int = _counter("Of those, without an answer that can be used")
    gap_recovered_events_total: int = _counter("Events that history gave for holes, doubles included")
    gap_recovered_ms_total: int = _counter("Time of holes that history vouched for, over all channels")
    gap_absent_ms_total: int = _counter("Time of holes that history was asked for and did not have")
    history_requests_total: int = _counter("Requests to the history service")
    history_waits_total: int = _counter("Requests that waited, since too many were made in a minute")
    history_failures_total: Counter[str] = _by("reason", "Requests to the history service that gave nothing")
    history_lines_total: int = _counter("Lines that the history service gave")
    history_lines_not_read_total: int = _counter("Of those, lines that do not read")
    history_lines_foreign_total: int = _counter("Of those, lines of another channel")


@dataclass(frozen=True, slots=True)
class Levels:
    """Gauges of the moment."""

    wanted: int
    joined: int
    joining: int
    waiting: int
    parked: int
    connections: int


LEVEL_MEANINGS: Final = {
    "wanted": "Channels that are wanted",
    "joined": "Channels that are heard, those on the move included",
    "joining": "Channels whose JOIN is not answered yet",
    "waiting": "Channels that wait for a JOIN",
    "parked": "Channels that were refused and wait for another try",
    "connections": "Connections that are welcomed and open",
}


def register(metrics: CollectMetrics, levels: Callable[[], Levels], registry: CollectorRegistry) -> None:
    """Export both through that registry."""
    registry.register(_Exported(metrics, levels))


class _Exported(Collector):
    """Reads the numbers when Prometheus asks."""

    def __init__(self, metrics: CollectMetrics, levels: Callable[[], Levels]) -> None:
        self._metrics = metrics
        self._levels = levels

    def collect(self) -> Iterator[Metric]:
        for one in fields(self._metrics):
            name, meaning = PREFIX + one.name, one.metadata["meaning"]
            value = getattr(self._metrics, one.name)
            if isinstance(value, Counter):
                label = one.metadata["label"]
                family = CounterMetricFamily(name, meaning, labels=[label])
                for key, count in sorted(value.items()):
                    family.add_metric([key], count)
                yield family
            else:
                yield CounterMetricFamily(name, meaning, value=value)
        levels = self._levels()
        for name, meaning in LEVEL_MEANINGS.items():
            yield GaugeMetricFamily(
                f"{PREFIX}channels_{name}" if name != "connections" else PREFIX + name,
                meaning,
                value=getattr(levels, name),
            )
