"""What became of a signature, where the nodes need not agree: pure. docs/claims.md, Ledger, 5.

One node that invents a landing, or an error, decides nothing while more than half of those that answer deny it; one
that lags only delays what the others say.
"""

from collections import Counter
from collections.abc import Sequence

from claim_api.chain.port import Status


def agreed(said: Sequence[Status | None]) -> Status | None:
    """said: of each node that answered, at least one. Final where more than half of them say that it is, in the same
    slot and with the same error; not final where more than half know the signature at all; else None."""
    final = Counter(one for one in said if one is not None and one.final)
    for status, times in final.most_common(1):
        if 2 * times > len(said):
            return status
    known = [one for one in said if one is not None]
    if 2 * len(known) <= len(said):
        return None
    return Status(min(one.slot for one in known), False, None)
