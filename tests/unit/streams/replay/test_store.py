"""Open epochs of a replay keep to their budget, however few events each has, and come back whole."""

import tracemalloc

import numpy as np
import pytest

from schemas.columns import EventColumns
from streams.core import hashing
from streams.replay.store import EpochStore

HOUR_MS = 3_600_000
EPOCHS = 4_000
BUDGET_BYTES = 4 << 20


@pytest.mark.parametrize("fast", [True, False])
def test_many_epochs_with_one_event_each_keep_to_the_budget(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("streams.core.hashing.FAST", "streams.core.hashing._lanes", "streams.core.kernels.active"):
        monkeypatch.setattr(name, None)  # put back as it was, whatever this test turns on
    if fast:
        assert hashing.enable_fast(None)
    store = EpochStore(HOUR_MS, BUDGET_BYTES)
    tracemalloc.start()
    try:
        for hour in range(EPOCHS):
            at = np.array([hour * HOUR_MS + 5], np.int64)
            ids = np.frombuffer(hour.to_bytes(16, "big"), np.uint8).reshape(1, 16)
            zero, kind = np.zeros(1, np.uint32), np.zeros(1, np.uint8)
            store.add("twitch:id:1", "chan", EventColumns([("twitch:id:5", "ann")], at, ids, kind, zero, zero))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3 * BUDGET_BYTES
    found = [(start_ms, len(fold)) for (_, start_ms), fold in store.drain()]
    assert found == [(hour * HOUR_MS, 1) for hour in range(EPOCHS)]
    store.close()
