"""Put made records onto a log and wait until a worker has sealed them all; print when what happened.

feed (--postgres DSN | --kafka HOST:PORT --prefix P) --partitions N --events N FILE [--append-only | --watch-only]

Without either: a worker runs already; the clock starts with the first append and stops with the worker's last commit,
so appending and consuming share the machine. --append-only and --watch-only do the halves, for a worker that starts
on a full log; the span is then that between the first and the last seal by the broker's own clock.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec

from schemas.sealed import Seal, decode_record
from schemas.streams import CHAT_EVENTS, EPOCH_SEALED
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.port import Append, Log, LogError
from streams.log.postgres import PostgresLog

BATCH_ENVELOPES: Final = 150
IN_FLIGHT: Final = 4
GROUP: Final = "work"
DEADLINE_S: Final = 180.0
POLL_S: Final = 0.02


async def append_all(log: Log, records: list[tuple[bytes, bytes]]) -> None:
    """Everything before the end records with a few transactions under way at once; then those, as `twzrd load` does:
    an end record must come after every event of its channel."""
    ends = len({key for key, _ in records})
    await _append(log, records[:-ends])
    await _append(log, records[-ends:])


async def _append(log: Log, records: list[tuple[bytes, bytes]]) -> None:
    sending: set[asyncio.Task[object]] = set()
    for start in range(0, len(records), BATCH_ENVELOPES):
        batch = [Append(None, key, value) for key, value in records[start : start + BATCH_ENVELOPES]]
        if len(sending) >= IN_FLIGHT:
            done, sending = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        sending.add(asyncio.create_task(log.append(CHAT_EVENTS, batch)))
    await asyncio.gather(*sending)


async def ends(log: Log) -> dict[int, int]:
    """The next offset of each partition of chat.events."""
    return {p: (await log.span(CHAT_EVENTS, p))[1] for p in range(await log.partitions(CHAT_EVENTS))}


async def committed_up_to(log: Log, wanted: dict[int, int]) -> None:
    """Until the worker's stored positions reach those offsets. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE_S):
        left = dict(wanted)
        while left:
            for partition in list(left):
                try:
                    position = await log.committed(GROUP, CHAT_EVENTS, partition) or 0
                except LogError:
                    position = 0  # the group is being formed
                if position >= left[partition]:
                    del left[partition]
            await asyncio.sleep(POLL_S)


async def seals(log: Log) -> list[tuple[int, Seal]]:
    """(when the log took it in, ms; seal) of all."""
    found = []
    for partition in range(await log.partitions(EPOCH_SEALED)):
        at, end = await log.span(EPOCH_SEALED, partition)
        while at < end:
            read = await log.read(EPOCH_SEALED, partition, at, max_records=500)
            for record in read:
                said = decode_record(record.value)
                if isinstance(said, Seal):
                    found.append((record.time_ms, said))
            at = read[-1].offset + 1
    return found


async def main(given: argparse.Namespace) -> None:
    """Feed, wait, print one RESULT line."""
    records: list[tuple[bytes, bytes]] = msgspec.msgpack.decode(given.file.read_bytes(), type=list[tuple[bytes, bytes]])
    log: Log
    if given.postgres:
        log = PostgresLog(given.postgres, partitions=given.partitions)
    else:
        log = KafkaLog(KafkaSettings(given.kafka, partitions=given.partitions, prefix=given.prefix))
    await log.open()
    try:
        start_s = time.perf_counter()
        if not given.watch_only:
            await append_all(log, records)
        appended_s = time.perf_counter() - start_s
        if given.append_only:
            print(f"RESULT appended_s={appended_s:.3f} events={given.events}")
            return
        await committed_up_to(log, await ends(log))
        taken_s = time.perf_counter() - start_s
        found = await seals(log)
    finally:
        await log.close()
    total = sum(one.stats.events for _, one in found)
    first_ms, last_ms = min(at for at, _ in found), max(at for at, _ in found)
    after = sum(one.stats.events for at, one in found if at > first_ms)
    print(
        f"RESULT appended_s={appended_s:.3f} taken_s={taken_s:.3f} seals={len(found)} sealed_events={total} "
        f"sealed_after_first={after} span_s={(last_ms - first_ms) / 1000:.3f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres")
    parser.add_argument("--kafka")
    parser.add_argument("--prefix", default="twzrd.")
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--append-only", action="store_true")
    parser.add_argument("--watch-only", action="store_true")
    parser.add_argument("file", type=Path)
    asyncio.run(main(parser.parse_args()))
