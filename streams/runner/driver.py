"""What every engine that drives shards shares: what was sealed before comes in at assignment, outputs go out.

Order matters at assignment: first the committed offset, then load_resume. What lies below a committed low-water mark
was acknowledged, so it is below the end that load_resume asks for; the other way round a seal could slip between them.
"""

import logging
from collections.abc import AsyncIterator
from typing import Final

from schemas.errors import SchemaError, TwzrdError
from schemas.seal import decode_header
from schemas.sealed import MAX_PART_BYTES
from streams.core.outputs import Output, ResealRequest
from streams.core.resume import Resume
from streams.core.sealing import Sealer
from streams.log.port import CHAT_EVENTS, DEAD, EPOCH_SEALED, Append, Log, LogError, LogRecord

_log = logging.getLogger(__name__)

READ_RECORDS: Final = 2000
READ_BYTES: Final = 8 << 20
READ_WAIT_MS: Final = 500
RESUME_GROUP: Final = "resume"
SUMMARY_AFTER_RECORDS: Final = 2000
"""Records of `epoch.sealed` read at an assignment before the reader leaves a summary for the next one."""
SEAL_WITHIN_RECORDS: Final = 200
"""How far before a summary the newest seal is looked for."""


class PositionLost(TwzrdError):
    """Records that a stored position still needs are gone from the log; to go on would seal wrongly."""

    def __init__(self, stream: str, partition: int, position: int, first: int) -> None:
        super().__init__(
            f"{stream} partition {partition} starts at {first}, but open epochs still need records from {position}: "
            "they were trimmed too early; fold those epochs from the archive (twzrd replay), then set the position of "
            f"the worker's group to {first}"
        )


class OtherPepper(TwzrdError):
    """The partition was sealed with another pepper than this worker's; it must not go on."""


class TailLost(LogError):
    """The log ends below a position stored in it. It may be a broker that is still coming up, so it is tried again."""

    def __init__(self, partition: int, position: int, end: int) -> None:
        super().__init__(
            f"{CHAT_EVENTS} partition {partition} ends at {end}, but its worker stood at {position} already: its newest"
            " records are gone. Where the log is still coming up this passes; else a server lost its disk or the topic "
            "was made anew: stop the workers and go on under another topic prefix or database"
        )


async def starting_point(log: Log, partition: int, committed: int | None) -> tuple[int, int]:
    """(where a shard is fed from, the log's end as it is now) for a committed low-water mark of `chat.events`, None
    where nothing was ever committed. Raises PositionLost where the log no longer has those records, TailLost where it
    does not have them yet or any more, LogError where it cannot be asked."""
    first, end = await log.span(CHAT_EVENTS, partition)
    if committed is None:
        return first, end
    if committed < first:
        raise PositionLost(CHAT_EVENTS, partition, committed, first)
    if committed > end:
        raise TailLost(partition, committed, end)
    return committed, end


def refuse_other_pepper(resume: Resume, sealer: Sealer, partition: int) -> None:
    """Raises OtherPepper where the newest seal of the partition bears the commitment to another pepper: what this
    worker would seal, nobody could prove with the pepper that all the rest is proved with."""
    if resume.newest_header is None:
        return
    sealed = decode_header(resume.newest_header)
    if sealed.pepper_commit != sealer.pepper_commit:
        raise OtherPepper(
            f"epoch.sealed partition {partition} was sealed last ({sealed.channel} at {sealed.epoch_start_s}) with the "
            f"pepper of commit {sealed.pepper_commit.hex()}, this worker's has {sealer.pepper_commit.hex()}; give each "
            "worker of a log the same pepper file (`twzrd keys backup` copies it, TWZRD_PEPPER_FILE names it)"
        )


async def read_through(
    log: Log, stream: str, partition: int, start: int, end: int, *, max_bytes: int = READ_BYTES
) -> AsyncIterator[list[LogRecord]]:
    """The records of [start, end) in batches. Raises LogError as log.read does."""
    offset, empty = start, 0
    while offset < end:
        batch = await log.read(
            stream, partition, offset, max_records=READ_RECORDS, max_bytes=max_bytes, wait_ms=READ_WAIT_MS
        )
        if not batch:
            # An adapter that cannot deliver raises; so only Kafka's own markers lie there. Asked twice all the same.
            empty += 1
            if empty > 1:
                return
            continue
        offset, empty = batch[-1].offset + 1, 0
        while batch and batch[-1].offset >= end:
            batch.pop()
        if batch:
            yield batch


async def load_resume(
    log: Log, partition: int, start: int, epoch_length_s: int, *, summary_after: int = SUMMARY_AFTER_RECORDS
) -> Resume:
    """What was closed before, from all of that partition's `epoch.sealed` up to its end at the call.

    start: the committed low-water mark of `chat.events`, read before this call. Raises LogError when the log cannot be
    read, and SchemaError naming the offset of a record that does not decode: to go on without it could mean to seal an
    epoch a second time.

    Long histories are summed up: who read many records leaves a summary at the stream's end and notes from where on it
    and what follows is enough. A summary of a worker that was overtaken does no harm: it speaks only for the records
    below the offset it names, and all others are read.
    """
    first, end = await log.span(EPOCH_SEALED, partition)
    noted = await log.committed(RESUME_GROUP, EPOCH_SEALED, partition) or first
    position = noted if first < noted <= end else first
    resume = await _gather(log, partition, Resume(start, epoch_length_s), position, end)
    if position != first and not resume.knows_before(position):
        position = first
        resume = await _gather(log, partition, Resume(start, epoch_length_s), first, end)
    if resume.newest_header is None and position > first:
        # A summary tells no pepper; the seals before it do.
        await _gather(log, partition, resume, max(first, position - SEAL_WITHIN_RECORDS), position)
    if end - position >= summary_after:
        await _leave_summary(log, partition, resume, end)
    return resume


async def _leave_summary(log: Log, partition: int, resume: Resume, end: int) -> None:
    summary = resume.summary(end)
    if len(summary) > MAX_PART_BYTES:
        _log.warning("closings of partition %d take %d bytes, too many for a summary", partition, len(summary))
        return
    await log.append(EPOCH_SEALED, [Append(partition, b"known", summary)])
    await log.commit(RESUME_GROUP, EPOCH_SEALED, partition, end)


async def _gather(log: Log, partition: int, resume: Resume, start: int, end: int) -> Resume:
    async for batch in read_through(log, EPOCH_SEALED, partition, start, end):
        for record in batch:
            try:
                resume.feed(record.value)
            except SchemaError as error:
                raise SchemaError(f"epoch.sealed partition {partition} offset {record.offset}: {error}") from error
    return resume


def to_appends(output: Output, partition: int) -> list[Append]:
    """An output's records as appends: `epoch.sealed` to the partition number of the input; `dead` has only one."""
    where = None if output.stream == DEAD else partition
    return [Append(where, key, value) for key, value in output.records]


def size_bytes(output: Output | ResealRequest) -> int:
    """Payload of an output; a request has none yet."""
    if isinstance(output, ResealRequest):
        return 0
    return sum(len(value) for _, value in output.records)
