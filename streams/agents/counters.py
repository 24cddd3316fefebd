"""What a Faust worker counts beside what every runner counts (streams.runner.metrics); shown by /metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class WorkerCounters:
    """Plain integers since the process started."""

    guard_dropped_total: int = 0
    """Records not folded because they were not the next one; read again later."""
    guard_repeated_total: int = 0
    """Records not folded because they were folded before."""
    agent_errors_total: int = 0
    """Exceptions caught in the agent; each makes its shard fold again from the low-water mark."""
    skipped_records_total: int = 0
    """Records that raised each time they were folded: dead letters, stepped over."""
    live_writes_total: int = 0
    live_deferred_total: int = 0
    """Live views not written in their turn because the tick's bound was reached."""
    live_errors_total: int = 0
    recovery_restarts_total: int = 0
    """Rebalances after which the worker was not ready within the broker's request timeout and began again."""
