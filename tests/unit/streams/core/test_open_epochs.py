"""What open epochs take in memory: one that is only observed next to nothing, whichever table of viewers is in use."""

from collections.abc import Iterator

import pytest

from schemas.envelope import encode
from streams.core import hashing
from streams.core.shard import Shard
from tests import logs
from tests.lanes import LANES
from tests.logs import PEPPER, SCHEDULE, T0, Event, envelope

C = logs.CHANNELS[0]
DAY_MS = 86_400_000


@pytest.fixture(params=["native", "python"] if LANES else ["python"], autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    assert request.param == "python" or hashing.enable_fast(None)
    yield
    hashing.disable_fast()


def test_days_that_somebody_states_behind_a_hole_take_no_room_for_viewers() -> None:
    shard = Shard(SCHEDULE, PEPPER, 0)
    shard.feed(0, encode("tick", C, "a", "s", 0, (T0, T0 + 1_000, "live")))
    shard.feed(1, encode("tick", C, "a", "s", 1, (T0 + 5_000, T0 + DAY_MS, "absent")))  # 8,640 epochs of 10 s
    assert len(shard._channels[C].open) == 8_640
    assert shard.open_bytes() == 0
    shard.feed(2, envelope(C, [Event(T0 + 1_500, 1)], (T0 + 1_000, T0 + 2_000, "live")))
    assert 0 < shard.open_bytes() < 100_000
    (view, *_) = shard.live_views()
    assert (view.participants, view.messages) == (1, 1)
    made = shard.feed(3, encode("tick", C, "a", "s", 3, (T0 + 2_000, T0 + 5_000, "absent")))
    assert len(made) == 2  # the hour that somebody was in, and one notice of all the others
