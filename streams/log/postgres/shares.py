"""How many partitions each live worker of a group gets. Pure."""

from collections.abc import Sequence


def fair_shares(partitions: int, members: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    """Partitions dealt out one by one in order of name, so shares differ by one at most; at_most (None: no bound)
    caps a member, and what it leaves goes to the others."""
    shares = {worker: 0 for worker, _ in members}
    bounds = {worker: partitions if at_most is None else min(at_most, partitions) for worker, at_most in members}
    order = sorted(shares)
    left = partitions
    while left and (open_to_more := [worker for worker in order if shares[worker] < bounds[worker]]):
        for worker in open_to_more[:left]:
            shares[worker] += 1
            left -= 1
    return shares
