"""What a Faust worker is told. infra composes it for `twzrd work`; `python -m streams.agents` from its arguments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.log.kafka import KafkaSettings

GROUP: Final = "work"
WEB_PORT: Final = 6066


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """One worker process. Seconds, bytes and records as the names say; the defaults are those that were tried.

    group: the consumer group, one for all workers that share the partitions. group_instance_id: a name of this worker
    that outlives its process (static membership): after kill -9 the next process of that name goes on at once instead
    of after a session time-out; two living workers must not share one. data_dir: for Faust's own files. web_port:
    each worker of a machine needs its own; None turns the pages off.
    """

    kafka: KafkaSettings
    data_dir: Path
    group: str = GROUP
    group_instance_id: str | None = None
    web_host: str = "127.0.0.1"
    web_port: int | None = WEB_PORT
    session_timeout_s: float = 10.0
    heartbeat_interval_s: float = 1.0
    commit_interval_s: float = 1.0
    max_poll_records: int = 1000
    buffer_records: int = 4096
    """Records of chat.events that wait in memory between the consumer and the agent, at most (at least 64)."""
    ask_reseals: bool = True
    """Run the horizon's timer for this worker's partitions: late events become the next revision."""
    log_level: str = "WARNING"


@dataclass(frozen=True, slots=True)
class Faults:
    """Ways to break the worker on purpose, so that a test can show that the test matrix would notice. Passed in
    code only; nothing that composes a real worker sets them."""

    guard: bool = True
    """False: a record that is not `next` is folded as if those between did not exist."""
    low_water: bool = True
    """False: Faust's own commits, which acknowledge a record when the agent is done with it."""


NO_FAULTS: Final = Faults()
