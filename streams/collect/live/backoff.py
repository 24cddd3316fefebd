"""How long to wait before something that failed is tried again: longer each time, with jitter, bounded."""

import random
from typing import Final

HIGHEST_DOUBLING: Final = 40
"""Beyond it the wait is the longest anyway, and 2**n stays a small number."""


def wait_s(failures: int, first_s: float, last_s: float, chance: random.Random) -> float:
    """The wait after that many failures in a row (1 or more): first_s doubled each time up to last_s, then a random
    share of it between half and all, so that many that failed together do not come back in step."""
    longest_s = min(last_s, first_s * 2.0 ** min(max(failures, 1) - 1, HIGHEST_DOUBLING))
    return longest_s * chance.uniform(0.5, 1.0)
