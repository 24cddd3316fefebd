"""Sealed hours made by the core's own Sealer from made-up chat: true refs, true roots, any number of viewers."""

from collections.abc import Sequence

import numpy as np

from schemas.columns import EventColumns
from schemas.policy import DEFAULT_POLICY, Policy, PolicySchedule
from schemas.seal import Interval
from schemas.sealed import SealedEpoch
from streams.core.fold import EpochFold
from streams.core.sealing import Sealer

PEPPER = bytes(range(32))
T0_S = 1_760_000_400
HOUR_S = 3600
CHANNEL = "twitch:id:100"
LOGIN = "forsen"


def viewers_of(count: int, first_id: int = 1000) -> list[tuple[str, str]]:
    """(identity, login) of that many viewers."""
    return [(f"twitch:id:{number}", f"viewer{number}") for number in range(first_id, first_id + count)]


def sealed_hour(
    viewers: Sequence[tuple[str, str]],
    *,
    channel: str = CHANNEL,
    login: str = LOGIN,
    epoch_start_s: int = T0_S,
    revision: int = 0,
    pepper: bytes = PEPPER,
    policy: Policy = DEFAULT_POLICY,
    coverage: Sequence[Interval] | None = None,
) -> SealedEpoch:
    """Viewer i says 1 + i % 3 things; every fifth brings bits, every seventh a sub, every eleventh a raid."""
    n = len(viewers)
    said = np.repeat(np.arange(n, dtype=np.uint32), 1 + np.arange(n) % 3)
    kind = np.zeros(len(said), np.uint8)
    amount = np.where(said % 5 == 0, said % 1000, 0).astype(np.uint32)
    kind[said % 7 == 3] = 1
    kind[said % 11 == 4] = 4
    ids = np.zeros((len(said), 16), np.uint8)
    ids[:, :8] = np.arange(len(said), dtype=">u8").view(np.uint8).reshape(-1, 8)
    ids[:, 8:] = np.frombuffer((epoch_start_s * 256 + revision).to_bytes(8, "big"), np.uint8)
    at = epoch_start_s * 1000 + np.arange(len(said), dtype=np.int64) % (policy.epoch_length_s * 1000)
    events = EventColumns(list(viewers), at, ids, kind, said, amount)
    hour = EpochFold()
    hour.add(events, hour.intern(viewers))
    start_ms = epoch_start_s * 1000
    stated = list(coverage) if coverage is not None else [(start_ms, start_ms + policy.epoch_length_s * 1000, "live")]
    sealer = Sealer(PolicySchedule.of(policy), pepper)
    sealed = sealer.seal(channel, login, epoch_start_s, revision, hour, stated, closed_by="watermark")
    assert sealed is not None
    return sealed
