"""The closer on every log: times and offsets are the log's own, a channel that was left is closed in its partition."""

import time

from schemas import envelope as envelopes
from streams.collect.live.closer import Closer, CloserRules, PartitionWatch
from streams.log.port import CHAT_EVENTS, Append
from tests.conformance.streams.log.conftest import LogFactory

HOUR_MS = 3_600_000
RULES = CloserRules()


async def test_a_channel_that_was_left_is_declared_absent_in_its_own_partition(log_factory: LogFactory) -> None:
    log, ahead_ms = await log_factory(), 0
    now_ms = time.time_ns() // 1_000_000
    value = envelopes.encode("tick", "twitch:id:1", "chan", "c1", 0, (now_ms - 5000, now_ms - 1000, "live"))
    [(partition, offset)] = await log.append(CHAT_EVENTS, [Append(None, b"twitch:id:1", value)])
    closer = Closer(log, "t", RULES, steady_ms=lambda: time.monotonic_ns() // 1_000_000 + ahead_ms)
    watch = PartitionWatch(partition, "closer/t", RULES, closer.counters)
    at = await closer.step(watch, partition, 0)
    assert at == offset + 1
    assert await closer.sweep(watch, partition, at)
    assert (await log.span(CHAT_EVENTS, partition))[1] == at, "it was heard of a moment ago"
    ahead_ms = 3 * HOUR_MS
    assert await closer.sweep(watch, partition, at)
    [tick] = await log.read(CHAT_EVENTS, partition, at, wait_ms=10_000)
    said = envelopes.decode(tick.value)
    assert (said.channel, said.login, said.type, said.source) == ("twitch:id:1", "chan", "tick", "closer/t")
    assert said.observed is not None and said.observed[0] == now_ms - 1000
    # As the log's clock has it, carried on by the steady one; the test's own clock may differ a little.
    assert abs(said.observed[1] - (now_ms + ahead_ms - RULES.margin_ms)) < 60_000
