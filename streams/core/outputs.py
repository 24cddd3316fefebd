"""What a shard gives its runner: records to append, and requests that need the log read again."""

from dataclasses import dataclass
from typing import Final

WATERMARK: Final = "watermark"
END: Final = "end"
RESEAL: Final = "reseal"
"""What closed or sealed an epoch: its channel's watermark, the end of its input, or a reseal record."""


@dataclass(frozen=True, slots=True)
class Output:
    """Records (key, value) to append to `stream` in this order; when they are durable the runner calls
    shard.acknowledged(ordinal)."""

    ordinal: int
    stream: str
    records: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ResealRequest:
    """The record at `offset` asks for the next revision of a closed epoch. The runner makes all earlier outputs
    durable, finds the epoch's earlier revisions on `epoch.sealed`, and calls core.reseal.answer."""

    ordinal: int
    channel: str
    login: str
    epoch_start_s: int
    offset: int


@dataclass(frozen=True, slots=True)
class LiveView:
    """How an open epoch stands, for people to look at. top: (login, messages), at most 10, most messages first."""

    channel: str
    login: str
    epoch_start_s: int
    participants: int
    messages: int
    weight_centi: int
    frontier_ms: int | None
    watermark_ms: int | None
    top: list[tuple[str, int]]


@dataclass(slots=True)
class ShardMetrics:
    """Counters of one shard since it started; a record that is fed again after a restart counts again."""

    records_total: int = 0
    events_total: int = 0
    late_events_total: int = 0
    refed_events_total: int = 0
    """Events of epochs that were already sealed when the shard started, met again below their closing record."""
    quarantined_events_total: int = 0
    dead_records_total: int = 0
    lost_envelopes_total: int = 0
    repeated_envelopes_total: int = 0
    sealed_total: int = 0
    closed_unsealed_total: int = 0
    reseal_requests_total: int = 0
