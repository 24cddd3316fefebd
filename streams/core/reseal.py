"""Revisions: one epoch folded again from everything the log holds for it, through the record that asks for it."""

from collections.abc import Iterable

from schemas.envelope import decode
from schemas.errors import SchemaError
from schemas.seal import MAX_REVISION
from schemas.sealed import Seal, SealedEpoch
from streams.core.admit import admitted
from streams.core.coverage import Coverage
from streams.core.fold import EpochFold
from streams.core.outputs import RESEAL
from streams.core.sealing import Sealer


def next_revision(earlier: Iterable[Seal], offset: int) -> int | None:
    """The revision a reseal record at `offset` makes, given every seal of its epoch found on `epoch.sealed`; None
    where that record was answered already."""
    known = list(earlier)
    if any(seal.closed_by == RESEAL and seal.through_offset == offset for seal in known):
        return None
    return max((seal.revision + 1 for seal in known if seal.through_offset < offset), default=0)


def reseal(
    sealer: Sealer,
    channel: str,
    login: str,
    epoch_start_s: int,
    revision: int,
    records: Iterable[tuple[int, bytes]],
    through_offset: int,
) -> SealedEpoch | None:
    """Fold the epoch again; None where that leaves nothing to seal, or the revision would be above MAX_REVISION.

    records: (offset, value) of the partition in order, from the log's first record or the epoch's from_offset; those
    above through_offset are not looked at, nor is what does not decode."""
    if revision > MAX_REVISION:
        return None
    length_ms = sealer.schedule.epoch_length_ms
    start_ms = epoch_start_s * 1000
    events, coverage = EpochFold(), Coverage()
    from_offset: int | None = None
    for offset, value in records:
        if offset > through_offset:
            break
        try:
            envelope = decode(value, check_viewers=False)
            if envelope.channel != channel or envelope.type == "reseal":
                continue
            envelope.check_viewers()
            columns = envelope.columns()
            batches = admitted(envelope, columns, length_ms)[0] if len(columns) else []
            mine = [batch for start, batch in batches if start == start_ms]
            numbers = [events.intern(batch.viewers) for batch in mine]
        except SchemaError:
            continue  # it became a dead letter when the shard met it
        for batch, who in zip(mine, numbers, strict=True):
            events.add(batch, who)
        seen = envelope.observed
        touches = seen is not None and seen[0] < start_ms + length_ms and seen[1] > start_ms
        if seen is not None and touches:
            coverage.add(*seen)
        if from_offset is None and (mine or touches):
            from_offset = offset
    return sealer.seal(
        channel,
        login,
        epoch_start_s,
        revision,
        events,
        coverage.clip(start_ms, start_ms + length_ms),
        from_offset=through_offset if from_offset is None else from_offset,
        through_offset=through_offset,
        closed_by=RESEAL,
    )
