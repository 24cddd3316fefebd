"""The guard and the holding of shards, without Kafka: records come in whatever order, seals come out the same."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping

import pytest

from schemas.dead import decode as decode_dead
from schemas.sealed import Seal, decode_record
from streams.agents.shards import TRIES, Shards
from streams.core.outputs import Output, ResealRequest
from streams.core.resume import Resume
from streams.core.shard import Shard
from streams.log.port import CHAT_EVENTS, DEAD, EPOCH_SEALED, LogRecord
from streams.runner.driver import OtherPepper, PositionLost, TailLost
from tests.integration.streams.agents.chat import PEPPER, SCHEDULE, channel
from tests.memory_log import MemoryLog

TOPIC = "chat"


class Reader:
    """A consumer: remembers where it was sought to."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.sought: list[int] = []
        self.assigned_again = 0

    def ends(self) -> Mapping[int, int]:
        return {0: self._log.records(CHAT_EVENTS)[-1].offset + 1}

    def flowing(self) -> bool:
        return True

    async def seek(self, partition: int, offset: int) -> None:
        self.sought.append(offset)

    async def assign_again(self) -> None:
        self.assigned_again += 1


class Rig:
    """Shards over a memory log, with a broker that acknowledges at once."""

    def __init__(self, values: Mapping[int, bytes], *, guard: bool = True) -> None:
        self.values = values
        self.log = MemoryLog(1)
        for offset, value in values.items():
            self.log.put(CHAT_EVENTS, 0, LogRecord(offset, b"", value, 0))
        self.reader = Reader(self.log)
        self.tasks: list[asyncio.Future[None]] = []
        self.made: list[Shard] = []
        self.raises_at: set[int] = set()
        self.pepper = PEPPER
        self.shards = Shards(
            self.log,
            self.make,
            SCHEDULE.epoch_length_s,
            self.answer,
            self.spawn,
            topic=TOPIC,
            guard=guard,
        )

    def make(self, partition: int, start: int, resume: Resume) -> Shard:
        rig = self

        class Brittle(Shard):
            def feed(self, offset: int, value: bytes) -> list[Output | ResealRequest]:
                if offset in rig.raises_at:
                    raise RuntimeError("a fault of the test")
                return super().feed(offset, value)

        self.made.append(Brittle(SCHEDULE, self.pepper, start, resume, partition=partition))
        return self.made[-1]

    async def answer(self, shard: Shard, request: ResealRequest) -> Output | None:
        raise AssertionError("no reseal here")

    def spawn(self, coroutine: Awaitable[None]) -> "asyncio.Future[None]":
        self.tasks.append(asyncio.ensure_future(coroutine))
        return self.tasks[-1]

    def offer(self, *offsets: int) -> None:
        for offset in offsets:
            self.shards.offer(0, offset, self.values[offset])

    async def sent(self) -> None:
        """Let the outbox write all it has."""
        async with asyncio.timeout(5):
            while self.shards.waiting_outputs(0):  # noqa: ASYNC110 (the loop only has to turn)
                await asyncio.sleep(0)

    def headers(self) -> set[bytes]:
        decoded = (decode_record(record.value) for record in self.log.records(EPOCH_SEALED))
        return {one.header for one in decoded if isinstance(one, Seal)}


@pytest.fixture
def values() -> dict[int, bytes]:
    return dict(enumerate(one.value for one in channel(1, hours=3, events_per_hour=200, seed=7)))


@pytest.fixture
def wanted(values: dict[int, bytes]) -> set[bytes]:
    return set(headers_of(values))


def headers_of(values: Mapping[int, bytes]) -> Iterator[bytes]:
    shard = Shard(SCHEDULE, PEPPER, 0)
    for offset, value in sorted(values.items()):
        shard.skip_to(offset)
        for output in shard.feed(offset, value):
            assert isinstance(output, Output)
            for _, record in output.records:
                decoded = decode_record(record)
                if isinstance(decoded, Seal):
                    yield decoded.header


async def test_records_in_order_are_folded(values: dict[int, bytes], wanted: set[bytes]) -> None:
    rig = Rig(values)
    assert await rig.shards.take_over({0: 0}) == {0: 0}
    rig.offer(*values)
    await rig.sent()
    assert rig.headers() == wanted
    assert rig.shards.low_water(0) == len(values)


async def test_a_record_that_is_not_next_is_not_folded_and_read_again(
    values: dict[int, bytes], wanted: set[bytes]
) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1, 2, *range(5, 9))
    assert rig.shards.counters.guard_dropped_total == 4
    await rig.shards.heal(rig.reader)
    assert rig.reader.sought == [3]
    rig.offer(*range(3, len(values)))
    await rig.sent()
    assert rig.headers() == wanted


async def test_without_the_guard_the_seals_differ(values: dict[int, bytes], wanted: set[bytes]) -> None:
    rig = Rig(values, guard=False)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1, 2, *range(5, len(values)))
    await rig.sent()
    assert len(rig.headers()) == len(wanted)
    assert rig.headers() != wanted


async def test_a_record_that_comes_again_is_not_folded_again(values: dict[int, bytes], wanted: set[bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1, 0, 1, 2, 2, *range(3, len(values)))
    await rig.sent()
    assert rig.headers() == wanted
    assert rig.shards.counters.guard_repeated_total == 3


async def test_records_that_never_came_are_asked_for_though_nothing_follows(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1)
    await rig.shards.heal(rig.reader)  # the shard has moved since the last look
    assert rig.reader.sought == []
    await rig.shards.heal(rig.reader)
    assert rig.reader.sought == [2]


async def test_a_gap_in_the_log_itself_is_stepped_over(values: dict[int, bytes]) -> None:
    del values[3], values[4]
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1, 2)
    for _ in range(6):
        rig.offer(5)
        await rig.shards.heal(rig.reader)
    assert rig.shards.metrics.counters.gap_skips_total == 1
    rig.offer(*range(5, max(values) + 1))
    await rig.sent()
    assert rig.headers() == set(headers_of(values))


async def test_a_shard_is_kept_where_nobody_committed_beyond_it(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.offer(0, 1, 2)
    assert await rig.shards.take_over({0: 2}) == {0: 3}
    assert len(rig.made) == 1
    assert await rig.shards.take_over({0: 9}) == {0: 9}
    assert len(rig.made) == 2


async def test_a_shard_of_a_partition_that_went_away_is_dropped(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    await rig.shards.take_over({})
    assert list(rig.shards.held()) == []
    rig.offer(0)
    assert rig.shards.counters.guard_dropped_total == 1
    assert rig.shards.low_water(0) is None


async def test_a_partition_without_a_shard_is_taken_over_again(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.heal(rig.reader)
    assert rig.reader.assigned_again == 1


async def test_what_raises_once_is_folded_again_from_the_low_water_mark(
    values: dict[int, bytes], wanted: set[bytes]
) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.raises_at = {10}
    rig.offer(*range(14))
    rig.raises_at = set()
    await rig.shards.heal(rig.reader)
    assert rig.reader.sought == [0]
    rig.offer(*values)
    await rig.sent()
    assert rig.headers() == wanted
    assert rig.shards.counters.agent_errors_total == 1


async def test_what_raises_each_time_becomes_a_dead_letter(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: 0})
    rig.raises_at = {3}
    for _ in range(TRIES):
        rig.offer(*range(5))
        await rig.shards.heal(rig.reader)
    rig.offer(*values)
    await rig.sent()
    (letter,) = (decode_dead(record.value) for record in rig.log.records(DEAD))
    assert letter.where["offset"] == 3
    assert "raised" in letter.reason
    del values[3]
    assert rig.headers() == set(headers_of(values))
    assert rig.shards.counters.skipped_records_total == 1


async def test_the_dead_letter_of_what_raises_each_time_is_durable_before_the_record_is_let_go(
    values: dict[int, bytes],
) -> None:
    rig = Rig(values)
    rig.log.fail = {"append"}
    await rig.shards.take_over({0: 0})
    rig.raises_at = {0}
    for _ in range(TRIES):
        rig.offer(0)
        await rig.shards.heal(rig.reader)
    rig.offer(0)
    await asyncio.sleep(0)
    assert rig.shards.low_water(0) == 0
    rig.log.fail = set()
    await rig.sent()
    assert rig.shards.low_water(0) == 1


async def test_a_log_trimmed_below_the_committed_offset_is_refused(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    rig.log.delete_before(CHAT_EVENTS, 0, 5)
    with pytest.raises(PositionLost, match="trimmed too early"):
        await rig.shards.take_over({0: 0})
    assert list(rig.shards.held()) == []


async def test_where_nothing_was_committed_a_trimmed_log_is_folded_from_its_first_record(
    values: dict[int, bytes],
) -> None:
    rig = Rig(values)
    rig.log.delete_before(CHAT_EVENTS, 0, 5)
    assert await rig.shards.take_over({0: None}) == {0: 5}


async def test_a_log_trimmed_below_next_is_not_taken_for_a_gap(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: None})
    rig.offer(0, 1, 2)
    rig.log.delete_before(CHAT_EVENTS, 0, 5)
    with pytest.raises(PositionLost, match="need records from 3"):
        for _ in range(6):
            rig.offer(5)
            await rig.shards.heal(rig.reader)
    assert rig.shards.metrics.counters.gap_skips_total == 0


async def test_a_log_that_lost_its_newest_records_is_folded_again(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: None})
    rig.offer(*range(10))
    shorter = Rig({offset: values[offset] for offset in range(6)})
    rig.shards._log = shorter.log
    for _ in range(6):
        await rig.shards.heal(shorter.reader)
    assert len(rig.made) == 2 and shorter.reader.sought[-1] == 0
    rig.offer(*range(6))
    assert await rig.shards.take_over({0: 2}) == {0: 6}, "kept"
    with pytest.raises(TailLost, match="ends at 6"):
        await rig.shards.take_over({0: 8})


async def test_a_log_sealed_with_another_pepper_is_refused(values: dict[int, bytes]) -> None:
    rig = Rig(values)
    await rig.shards.take_over({0: None})
    rig.offer(*values)
    await rig.sent()
    await rig.shards.take_over({})
    rig.pepper = bytes(32)
    with pytest.raises(OtherPepper, match="same pepper file"):
        await rig.shards.take_over({0: 0})
    assert list(rig.shards.held()) == []
