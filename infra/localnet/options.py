"""How a local cluster is run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from infra.localnet.errors import LocalnetError

MAX_FINALITY_SLOTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalnetOptions:
    """port 0 takes two free ones that are neighbours. slot_ms 0: slots go on by hand only (Chain.advance).

    finality_slots: how many slots behind the newest `finalized` is; `confirmed` is one behind, or none where that is 0.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8899
    slot_ms: int = 400
    finality_slots: int = 1
    sync: Literal["disk", "process"] = "disk"
    max_request_bytes: int = 1024 * 1024
    max_batch: int = 512
    max_entries: int = 100_000
    max_journal_bytes: int = 256 * 1024 * 1024
    max_sockets: int = 256
    max_subscriptions: int = 4096
    max_waiting: int = 10_000
    faults_by_rpc: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.slot_ms and not 10 <= self.slot_ms <= 60_000:
            raise LocalnetError(f"a slot of {self.slot_ms} ms; it may be 10 to 60000, or 0 for slots by hand")
        if not 0 <= self.finality_slots <= MAX_FINALITY_SLOTS:
            raise LocalnetError(f"finality after {self.finality_slots} slots; it may be 0 to {MAX_FINALITY_SLOTS}")


@dataclass(slots=True)
class Counters:
    """What a cluster counted since it started."""

    requests_total: int = 0
    calls_total: int = 0
    errors_total: int = 0
    refused_requests_total: int = 0
    transactions_landed_total: int = 0
    transactions_failed_total: int = 0
    transactions_refused_total: int = 0
    transactions_dropped_total: int = 0
    faults_total: int = 0
    sockets_refused_total: int = 0
    subscriptions_refused_total: int = 0
    notices_total: int = 0
    notices_dropped_total: int = 0

    def shown(self) -> dict[str, int]:
        """Name and number."""
        return asdict(self)
