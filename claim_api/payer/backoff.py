"""How long a claim waits before it is asked for again: longer each time, with jitter, bounded."""

import random
from collections import OrderedDict
from collections.abc import Callable

from claim_api.payer.config import Pace


class Waits:
    """By claim, in memory: after a restart each begins anew, and nothing but the pace rests on it."""

    def __init__(self, pace: Pace, chance: Callable[[], float] = random.random) -> None:
        self._pace, self._chance = pace, chance
        self._times: OrderedDict[int, int] = OrderedDict()

    def next_s(self, claim_id: int) -> float:
        """Between half and the whole of a time that doubles."""
        times = self._times.pop(claim_id, 0)
        self._times[claim_id] = times + 1
        while len(self._times) > self._pace.remembered_claims:
            self._times.popitem(last=False)
        longest_s = min(self._pace.retry_last_s, self._pace.retry_first_s * 2.0 ** min(times, 30))
        return longest_s * (0.5 + 0.5 * self._chance())

    def forget(self, claim_id: int) -> None:
        """It went on."""
        self._times.pop(claim_id, None)
