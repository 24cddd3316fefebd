"""The watermark a worker shows is that of the channel furthest behind."""

from schemas.envelope import encode
from streams.core.shard import Shard
from tests.logs import PEPPER, SCHEDULE, T0


def test_the_channel_furthest_behind_gives_the_watermark() -> None:
    shard = Shard(SCHEDULE, PEPPER, 0)
    assert shard.least_watermark_ms() is None
    shard.feed(0, encode("tick", "twitch:id:1", "a", "s", 0, (T0, T0 + 9_000, "live")))
    shard.feed(1, encode("tick", "twitch:id:2", "b", "s", 0, (T0, T0 + 5_000, "live")))
    assert shard.least_watermark_ms() == T0 + 5_000 - 2_000
    shard.feed(2, encode("end", "twitch:id:2", "b", "s", 1))
    assert shard.least_watermark_ms() == T0 + 9_000 - 2_000  # an ended channel waits for nothing
