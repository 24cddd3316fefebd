"""What a worker shows of itself while its shards are fed."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streams.core.shard import Shard
from streams.runner.metrics import READ_TRIES, RunnerMetrics
from tests.logs import PEPPER, SCHEDULE


class Moving(Shard):
    """A shard that is fed by another thread each time it is looked at, for as many looks."""

    looks = 0

    def low_water(self) -> int:
        if self.looks:
            self.looks -= 1
            epochs = {1: 1}
            for _ in epochs:
                epochs[2] = 2
        return super().low_water()


def test_a_shard_that_changes_while_it_is_looked_at_is_looked_at_again() -> None:
    metrics, registry, shard = RunnerMetrics(), CollectorRegistry(), Moving(SCHEDULE, PEPPER, 7)
    metrics.register(registry)
    metrics.started(shard)
    shard.looks = 3
    assert b'twzrd_shard_low_water{partition="0"} 7.0' in generate_latest(registry)
    shard.looks = READ_TRIES + 1
    with pytest.raises(RuntimeError):
        metrics.status()
