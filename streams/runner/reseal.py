"""Answers a reseal record: the epoch's earlier revisions are looked up, its records read again, the next one sealed.

In: the ResealRequest a shard gave, with all earlier outputs durable. Out: the output that bears the new revision. The
records come from the log, and from the archive where the log no longer has them: the same bytes either way.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from schemas.errors import SchemaError
from schemas.sealed import Seal, decode_record
from streams.core.outputs import Output, ResealRequest
from streams.core.reseal import next_revision, reseal
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Log, LogError
from streams.runner.driver import read_through

BATCH_RECORDS: Final = 1000
BATCH_BYTES: Final = 4 << 20
"""What is held of the log at a time while an epoch is folded again."""


ArchiveReader = Callable[[str, int, int], Iterator[tuple[int, int, bytes]]]
"""(channel, from_ms, to_ms) -> (partition, offset, value) of the channel's records that speak of any moment in
[from_ms, to_ms), in order of partition and offset. `partial(streams.log.archive.read_archive, root)` is one."""

Answer = Callable[[Shard, ResealRequest], Awaitable[Output | None]]
"""`answer` for the shards of one log."""


def answering(log: Log, archive: ArchiveReader | None) -> Answer:
    """How the shards of this log have their reseal requests answered."""

    async def answer_one(shard: Shard, request: ResealRequest) -> Output | None:
        return await answer(log, shard, shard.partition, request, archive)

    return answer_one


async def answer(
    log: Log, shard: Shard, partition: int, request: ResealRequest, archive: ArchiveReader | None = None
) -> Output | None:
    """The output that answers the request, or None where it was answered before or nothing is left to seal.

    The caller has made every earlier output of the shard durable. Raises LogError where the log cannot be read, or
    where it was trimmed and no archive was given.
    """
    earlier = await _earlier_seals(log, partition, request)
    revision = next_revision(earlier, request.offset)
    if revision is None:
        return shard.answered(request, None)
    start = min((seal.from_offset for seal in earlier), default=0)
    login = request.login or (earlier[-1].login if earlier else "")
    first, _ = await log.span(CHAT_EVENTS, partition)
    if start < first and archive is None:
        raise LogError(
            f"reseal of {request.channel} at {request.epoch_start_s}: its records start at {start} of partition "
            f"{partition}, the log keeps those from {first}; give the worker the archive's directory"
        )
    loop = asyncio.get_running_loop()
    given_up = threading.Event()
    length_ms = shard.sealer.schedule.epoch_length_ms
    history = _history(log, loop, partition, request, start, first, archive, given_up, length_ms)
    try:
        sealed = await asyncio.to_thread(
            reseal, shard.sealer, request.channel, login, request.epoch_start_s, revision, history, request.offset
        )
    finally:
        given_up.set()
    return shard.answered(request, sealed)


async def _earlier_seals(log: Log, partition: int, request: ResealRequest) -> list[Seal]:
    """Every seal of the request's epoch on `epoch.sealed`, bodies left out."""
    found: list[Seal] = []
    first, end = await log.span(EPOCH_SEALED, partition)
    key = f"{request.channel}|{request.epoch_start_s}".encode()
    async for batch in read_through(log, EPOCH_SEALED, partition, first, end):
        for record in batch:
            if record.key != key:
                continue
            try:
                decoded = decode_record(record.value)
            except SchemaError as error:
                raise SchemaError(f"epoch.sealed partition {partition} offset {record.offset}: {error}") from error
            if isinstance(decoded, Seal):
                found.append(decoded)
    return found


def _history(
    log: Log,
    loop: asyncio.AbstractEventLoop,
    partition: int,
    request: ResealRequest,
    start: int,
    first: int,
    archive: ArchiveReader | None,
    given_up: threading.Event,
    epoch_length_ms: int,
) -> Iterator[tuple[int, bytes]]:
    """Runs in the folding thread: records from the archive below `first`, then from the log, a batch at a time."""
    if start < first and archive is not None:
        start_ms = request.epoch_start_s * 1000
        for found, offset, value in archive(request.channel, start_ms, start_ms + epoch_length_ms):
            if found == partition and start <= offset < first:
                yield offset, value
    offset = max(start, first)
    while offset <= request.offset:
        if given_up.is_set():
            raise LogError(f"reseal of {request.channel} at {request.epoch_start_s} was given up")
        reading = asyncio.run_coroutine_threadsafe(
            log.read(CHAT_EVENTS, partition, offset, max_records=BATCH_RECORDS, max_bytes=BATCH_BYTES), loop
        )
        batch = reading.result()
        if not batch:
            raise LogError(
                f"reseal of {request.channel} at {request.epoch_start_s}: partition {partition} gives nothing at "
                f"{offset} though its record {request.offset} was read; the worker tries again"
            )
        if batch[0].offset > offset:  # Kafka's own markers, or trimmed since the span was asked for
            first, _ = asyncio.run_coroutine_threadsafe(log.span(CHAT_EVENTS, partition), loop).result()
            if first > offset:
                raise LogError(
                    f"reseal of {request.channel} at {request.epoch_start_s}: partition {partition} was trimmed from "
                    f"{offset} to {first} while it was read; the worker tries again"
                )
        for record in batch:
            yield record.offset, record.value
        offset = batch[-1].offset + 1
