"""Sealing: a folded epoch and its coverage become refs, sorted leaves, a Merkle root and a header."""

import numpy as np
from numpy.typing import NDArray

from schemas import seal as layout
from schemas.policy import PolicySchedule
from schemas.seal import Interval, SealHeader, leaf_preimages
from schemas.sealed import SealBody, SealedEpoch
from streams.core.coverage import observed
from streams.core.fold import EpochFold, Folded, fold
from streams.core.hashing import viewer_refs
from streams.core.merkle import merkle_root


class Sealer:
    """Seals epochs under a policy schedule and a pepper (32 secret bytes)."""

    def __init__(self, schedule: PolicySchedule, pepper: bytes) -> None:
        self.schedule = schedule
        self._pepper = pepper
        self._pepper_commit = layout.pepper_commit(pepper)

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
        policy = self.schedule.at(epoch_start_s)
        folded = fold(events.columns(), policy)
        if not folded.identities and not observed(coverage):
            return None
        body = self._body(channel, epoch_start_s, folded)
        header = SealHeader(
            revision=revision,
            epoch_length_s=policy.epoch_length_s,
            epoch_start_s=epoch_start_s,
            channel=channel,
            leaf_count=len(body),
            total_weight_centi=int(body.counts.weight_centi.sum()),
            total_messages=int(body.counts.messages.sum(dtype=np.uint64)),
            root=merkle_root(leaf_preimages(channel, epoch_start_s, body.refs, body.counts)),
            policy_hash=policy.hash,
            input_digest=folded.input_digest,
            coverage_hash=layout.coverage_hash(coverage),
            pepper_commit=self._pepper_commit,
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
        )

    def _body(self, channel: str, epoch_start_s: int, folded: Folded) -> SealBody:
        """The participants sorted by ref, ascending."""
        tag = layout.epoch_tag(channel, epoch_start_s)
        # Identities bear no white space, so all of them become bytes in one pass.
        names = "\n".join(folded.identities).encode().split(b"\n") if folded.identities else []
        refs, _ = viewer_refs(names, self._pepper, tag)
        order = _by_ref(refs)
        places = order.tolist()
        return SealBody(
            refs[order],
            [folded.identities[index] for index in places],
            [folded.logins[index] for index in places],
            folded.counts.take(order),
            folded.first_ms[order],
            folded.last_ms[order],
        )


def _by_ref(refs: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The order that sorts (n, 32) refs as bytes: by their first 8 bytes, the rest only where those are equal."""
    words = np.ascontiguousarray(refs).view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0])
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    return order
