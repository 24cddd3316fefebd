"""A token bucket: how many requests a node, or a client, may have. Pure; the caller says what time it is."""

import math


class TokenBucket:
    """rate_per_s tokens come in, up to burst. A cost over the burst waits for a full bucket and leaves a debt, so that
    the rate holds whatever the cost."""

    __slots__ = ("_at_s", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        """Both above 0; the bucket begins full."""
        if not (rate_per_s > 0 and burst > 0 and math.isfinite(rate_per_s) and math.isfinite(burst)):
            raise ValueError(f"a bucket of rate {rate_per_s} and burst {burst}; give numbers above 0")
        self.rate_per_s, self.burst = rate_per_s, burst
        self._tokens, self._at_s = float(burst), now_s

    def tokens(self, now_s: float) -> float:
        """What is in it; below 0 while in debt."""
        # A clock that goes back gives nothing and takes nothing.
        if now_s > self._at_s:
            self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
            self._at_s = now_s
        return self._tokens

    def take(self, now_s: float, cost: float = 1) -> bool:
        """Takes the cost if it is there."""
        if self.ready_in_s(now_s, cost) > 0:
            return False
        self._tokens -= cost
        return True

    def ready_in_s(self, now_s: float, cost: float = 1) -> float:
        """Seconds until so many can be taken; 0 when they can."""
        missing = min(cost, self.burst) - self.tokens(now_s)
        # Less than a billionth of a token is rounding, for which nobody waits.
        return missing / self.rate_per_s if missing > 1e-9 else 0.0
