"""Seeded chat for the Faust tests: envelopes of several channels over some hours, and what must come of them."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from schemas import envelope
from schemas.columns import EventColumns
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import Seal, decode_record
from streams.core.outputs import Output
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Append, Log
from streams.runner.driver import read_through

HOUR_MS = 3_600_000
START_MS = 472_222 * HOUR_MS
PEPPER = bytes(range(32))
SCHEDULE = PolicySchedule.of(DEFAULT_POLICY)

Seals = dict[tuple[bytes, int], bytes]
"""(key channel|epoch, revision) -> header bytes."""


def channel(
    number: int, *, hours: int, events_per_hour: int, seed: int, envelope_events: int = 40, ends: bool = True
) -> Iterator[Append]:
    """One channel's envelopes: observed without a hole, in order of time; an end record last where it `ends`."""
    rng = np.random.default_rng([seed, number])
    identity, login = f"twitch:id:{1000 + number}", f"channel{number}"
    total = hours * events_per_hour
    at = np.sort(rng.integers(START_MS, START_MS + hours * HOUR_MS, total)).astype(np.int64)
    ids = rng.integers(0, 256, (total, 16), dtype=np.uint8)
    seen_ms = START_MS
    for sequence, first in enumerate(range(0, total, envelope_events)):
        rows = slice(first, min(first + envelope_events, total))
        size = rows.stop - first
        who = rng.integers(0, 300, size)
        names, index = np.unique(who, return_inverse=True)
        columns = EventColumns(
            [(f"twitch:id:{int(name) + 1}", f"viewer{name}") for name in names],
            at[rows],
            ids[rows],
            rng.choice(np.array([0, 0, 0, 0, 1, 3], np.uint8), size),
            index.astype(np.uint32),
            np.zeros(size, np.uint32),
        )
        to_ms = max(int(at[rows.stop]) if rows.stop < total else START_MS + hours * HOUR_MS, seen_ms + 1)
        value = envelope.encode("events", identity, login, "test", sequence, (seen_ms, to_ms, "live"), columns)
        yield Append(None, identity.encode(), value)
        seen_ms = to_ms
    if ends:
        yield Append(None, identity.encode(), envelope.encode("end", identity, login, "test", total))


def several(channels: int, *, hours: int, events_per_hour: int, seed: int, ends: bool = True) -> list[Append]:
    """The channels' envelopes, interleaved by a seeded shuffle that keeps each channel's own order."""
    queues = [
        list(channel(number, hours=hours, events_per_hour=events_per_hour, seed=seed, ends=ends))
        for number in range(channels)
    ]
    turns = [number for number, queue in enumerate(queues) for _ in queue]
    random.Random(seed).shuffle(turns)
    iterators = [iter(queue) for queue in queues]
    return [next(iterators[number]) for number in turns]


async def append(log: Log, records: Sequence[Append]) -> None:
    """Append in batches."""
    for first in range(0, len(records), 500):
        await log.append(CHAT_EVENTS, records[first : first + 500])


async def of_shards_fed_directly(log: Log) -> Seals:
    """The seals of everything on chat.events, by one shard per partition that meets no fault."""
    found: Seals = {}
    for partition in range(await log.partitions(CHAT_EVENTS)):
        shard = Shard(SCHEDULE, PEPPER, 0, partition=partition)
        async for batch in read_through(log, CHAT_EVENTS, partition, *await log.span(CHAT_EVENTS, partition)):
            for record in batch:
                for output in shard.feed(record.offset, record.value):
                    assert isinstance(output, Output)
                    found.update((place, header) for place, header in _seals(output.records))
    return found


def _seals(records: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[tuple[bytes, int], bytes]]:
    for key, value in records:
        decoded = decode_record(value)
        if isinstance(decoded, Seal):
            yield (key, decoded.revision), decoded.header


class SealReader:
    """Follows epoch.sealed and keeps every header met, so that a second one that differs is seen."""

    def __init__(self, log: Log, partitions: int) -> None:
        self._log = log
        self._next = dict.fromkeys(range(partitions), 0)
        self.headers: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)

    async def read(self, wait_ms: int = 0) -> None:
        """Take in what is there."""

        async def one(partition: int) -> None:
            for record in await self._log.read(EPOCH_SEALED, partition, self._next[partition], wait_ms=wait_ms):
                self._next[partition] = record.offset + 1
                for place, header in _seals([(record.key, record.value)]):
                    self.headers[place].add(header)

        await asyncio.gather(*map(one, self._next))

    async def until(self, seals: int, timeout_s: float = 90.0) -> None:
        """Read until that many different seals are there; TimeoutError naming how many came."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while len(self.headers) < seals:
            if asyncio.get_running_loop().time() > deadline_s:
                raise TimeoutError(f"{len(self.headers)} of {seals} seals after {timeout_s:.0f} s")
            await self.read(wait_ms=200)

    async def to_the_end(self) -> None:
        """Read all that is on the log now."""
        for partition in self._next:
            end = (await self._log.span(EPOCH_SEALED, partition))[1]
            while self._next[partition] < end:
                await self.read(wait_ms=200)


def differences(wanted: Mapping[tuple[bytes, int], bytes], found: Mapping[tuple[bytes, int], set[bytes]]) -> list[str]:
    """What is missing, and what is there with another header or in two versions; [] when all is well."""
    missing = [f"missing {place}" for place in wanted if place not in found]
    wrong = [f"wrong {place}" for place, headers in found.items() if headers != {wanted.get(place)}]
    return missing + wrong
