"""Sealing: a folded epoch and its coverage become refs, sorted leaves, a Merkle root and a header."""

import numpy as np
from numpy.typing import NDArray

from schemas import seal as layout
from schemas.policy import PolicySchedule
from schemas.seal import Interval, SealHeader, leaf_preimages
from schemas.sealed import SealBody, SealedEpoch
from streams.core.coverage import observed
from streams.core.fold import EpochFold, fold
from streams.core.kernels import order_words
from streams.core.merkle import merkle_root


class Sealer:
    """Seals epochs under a policy schedule and a pepper (32 secret bytes)."""

    def __init__(self, schedule: PolicySchedule, pepper: bytes) -> None:
        self.schedule = schedule
        self._pepper = pepper
        self.pepper_commit = layout.pepper_commit(pepper)

    def seal(
        self,
        channel: str,
        login: str,
        epoch_start_s: int,
        revision: int,
        events: EpochFold,
        coverage: list[Interval],
        *,
        from_offset: int = 0,
        through_offset: int = 0,
        closed_by: str = "end",
        frontier_ms: int | None = None,
        after_ms: int = 0,
    ) -> SealedEpoch | None:
        """The sealed epoch, or None where nobody took part and no ms of it was observed."""
        if not len(events) and not observed(coverage):
            return None  # as below, without the work: a long absence closes thousands of these at once
        policy = self.schedule.at(epoch_start_s)
        columns, pairs = events.columns()
        refs = pairs.refs(self._pepper, layout.epoch_tag(channel, epoch_start_s))
        viewer_of_pair, viewers = _by_ref(refs)
        folded = fold(columns, pairs, viewer_of_pair, viewers, policy)
        if not len(folded.pairs) and not observed(coverage):
            return None
        body = SealBody(
            refs.take(folded.pairs, axis=0),
            pairs.identities(folded.pairs),
            pairs.logins(folded.pairs),
            folded.counts,
            folded.first_ms,
            folded.last_ms,
        )
        leaves = leaf_preimages(channel, epoch_start_s, body.refs, body.counts)
        header = SealHeader(
            revision=revision,
            epoch_length_s=policy.epoch_length_s,
            epoch_start_s=epoch_start_s,
            channel=channel,
            leaf_count=len(body),
            total_weight_centi=int(body.counts.weight_centi.sum()),
            total_messages=int(body.counts.messages.sum(dtype=np.uint64)),
            root=merkle_root(leaves),
            policy_hash=policy.hash,
            input_digest=folded.input_digest,
            coverage_hash=layout.coverage_hash(coverage),
            pepper_commit=self.pepper_commit,
        )
        return SealedEpoch(
            header,
            login,
            policy.canonical,
            coverage,
            folded.stats,
            from_offset,
            through_offset,
            closed_by,
            body,
            frontier_ms,
            after_ms,
            leaves,
        )


def _by_ref(refs: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """For each of (n, 32) refs its place among the different ones, in order of bytes, and how many those are."""
    n = len(refs)
    words = np.ascontiguousarray(refs).view(">u8").astype(np.uint64)  # big-endian words order as bytes do
    order, first = order_words(words[:, 0])
    place = np.arange(n)
    if (first[1:] == first[:-1]).any():  # one viewer under two logins, as a rule
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
        same = (words[order[1:]] == words[order[:-1]]).all(axis=1)
        place[1:] -= np.cumsum(same)
        n -= int(np.count_nonzero(same))
    out = np.empty(len(refs), np.int64)
    out[order] = place
    return out, n
