"""Counters of the projections. In: a Prometheus registry that the composing process owns; nothing is global here.

Names that the original had are kept: epoch_sealed_total, epoch_participants.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class ProjectionMetrics:
    """One set for a registry; give a fresh CollectorRegistry to keep a rebuild's counts apart."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.epoch_sealed = Counter("epoch_sealed", "Seals applied to the read models", registry=registry)
        self.epoch_participants = Histogram(
            "epoch_participants",
            "Participants of a seal applied",
            buckets=(0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
            registry=registry,
        )
        self.participants = Counter(
            "projection_participants", "Participants applied to the read models", registry=registry
        )
        self.repeated = Counter("projection_seals_repeated", "Known seals that came again", registry=registry)
        self.dismissed = Counter(
            "projection_seals_dismissed", "Contradicting seals passed over by an operator's ruling", registry=registry
        )
        self.conflicts = Counter(
            "projection_seal_conflicts", "Known seals met with another hash; each stops its channel", registry=registry
        )
        self.stopped_channels = Gauge(
            "projection_stopped_channels", "Channels that wait for an operator's ruling", registry=registry
        )
        self.damaged = Counter("projection_seals_damaged", "Seals refused as inconsistent", registry=registry)
        self.held = Counter("projection_records_held", "Entries kept back for a stopped channel", registry=registry)
        self.shortfalls = Counter(
            "projection_shortfalls", "Allocations that a later revision would have lowered", registry=registry
        )
        self.late_events = Counter("projection_late_events", "Events told of as late", registry=registry)
        self.records = Counter("projection_records", "Entries applied", ["projection"], registry=registry)
        self.undecodable = Counter(
            "projection_undecodable", "Records that could not be read", ["projection"], registry=registry
        )
        self.given_up = Counter(
            "projection_unfinished_seals_given_up",
            "Unfinished seals dropped at a bound of schemas.parts",
            ["projection"],
            registry=registry,
        )
        self.retries = Counter(
            "projection_retries", "Times a projection started again after a fault", ["projection"], registry=registry
        )
        self.lag_records = Gauge(
            "projection_lag_records",
            "Offsets between the stream's end and the projection",
            ["projection"],
            registry=registry,
        )
        self.board_viewers_untracked = Counter(
            "projection_board_events_untracked",
            "Events of viewers beyond a live board's bound board.MAX_TRACKED_VIEWERS",
            registry=registry,
        )
