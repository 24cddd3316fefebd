"""The closer: hours of channels that nobody watches seal, and nothing is taken from a collector that lives."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from schemas import envelope as envelopes
from streams.log.port import CHAT_EVENTS, Append
from tests.closing import CHANNEL, DAMAGED, HOUR_MS, MINUTE_MS, RULES, T0_MS, World, live, watched


async def test_the_open_hour_of_a_channel_that_was_left_seals_with_its_hole_stated() -> None:
    world = World()
    await live(world, 40)
    left_ms = world.now_ms - 1000
    await world.pass_time(19 * MINUTE_MS)
    assert world.said() == [] and len(world.seals) == 1, "the second before the hour has its own"
    await world.pass_time(6 * MINUTE_MS)
    [tick] = world.said()
    assert (tick.type, tick.login) == ("tick", "chan")
    assert tick.observed is not None and tick.observed[0] == left_ms and tick.observed[2] == "absent"
    [before, seal] = world.seals
    assert before.header.epoch_start_s * 1000 == T0_MS - HOUR_MS
    assert (seal.header.epoch_start_s * 1000, seal.coverage) == (
        T0_MS,
        [(T0_MS, left_ms, "live"), (left_ms, T0_MS + HOUR_MS, "absent")],
    )


async def test_nothing_is_said_while_a_collector_speaks_or_may_have_just_begun() -> None:
    world = World()
    for _ in range(180):
        await live(world, 1)
        await world.turn()
    assert world.said() == []
    await world.pass_time(4 * HOUR_MS)
    said = [(record.time_ms, envelopes.decode(record.value)) for record in world.log.records(CHAT_EVENTS)[360:]]
    left_ms = [at_ms - one.observed[1] for at_ms, one in said if one.observed is not None]
    assert len(left_ms) == 4 and set(left_ms) == {RULES.margin_ms}


async def test_a_channel_that_only_says_it_misses_time_is_still_watched_by_its_collector() -> None:
    world = World()
    await live(world, 10)
    for _ in range(30):
        world.now_ms += 2 * MINUTE_MS
        await world.collect(world.now_ms - 3 * MINUTE_MS, world.now_ms - MINUTE_MS, "absent")
        await world.turn()
    assert world.said() == []


async def test_holes_before_the_last_interval_are_closed_too() -> None:
    world = World()
    await world.collect(T0_MS, T0_MS + 10 * MINUTE_MS)
    await world.collect(T0_MS + 20 * MINUTE_MS, T0_MS + 30 * MINUTE_MS)
    await world.pass_time(65 * MINUTE_MS)
    [seal] = world.seals
    assert seal.coverage == [
        (T0_MS, T0_MS + 10 * MINUTE_MS, "live"),
        (T0_MS + 10 * MINUTE_MS, T0_MS + 20 * MINUTE_MS, "absent"),
        (T0_MS + 20 * MINUTE_MS, T0_MS + 30 * MINUTE_MS, "live"),
        (T0_MS + 30 * MINUTE_MS, T0_MS + HOUR_MS, "absent"),
    ]


async def test_after_hours_of_silence_the_channel_ends_and_lets_the_low_water_mark_go() -> None:
    world = World()
    await live(world, 40)
    await world.pass_time(12 * HOUR_MS, 5 * MINUTE_MS)
    assert [one.type for one in world.said()].count("end") == 1
    assert world.said()[-1].type == "end"
    assert len(world.said()) <= 9, "about a tick an hour until the end, then nothing"
    assert world.shard.low_water() == world.shard.next == len(world.log.records(CHAT_EVENTS))
    await live(world, 5)
    await world.pass_time(90 * MINUTE_MS)
    assert world.said()[-1].type == "tick", "it is watched again since it came back"


async def test_what_a_restarted_closer_knows_is_what_the_workers_still_need() -> None:
    world = World()
    await live(world, 40)
    await world.pass_time(4 * HOUR_MS)
    low = world.shard.low_water()
    world.running.clear()
    world.at.clear()
    world.start()
    world.at[0] = low
    await world.pass_time(12 * HOUR_MS)
    assert world.said()[-1].type == "end"
    assert world.shard.low_water() == world.shard.next


async def test_files_and_ended_channels_are_let_alone() -> None:
    world = World()
    value = envelopes.encode("events", CHANNEL, "chan", "file", 0)
    await world.log.append(CHAT_EVENTS, [Append(0, b"k", value), Append(0, b"k", DAMAGED)])
    await world.collect(T0_MS, T0_MS + 1000, channel="twitch:id:2")
    ended = envelopes.encode("end", "twitch:id:2", "chan", "c1", 1)
    await world.log.append(CHAT_EVENTS, [Append(0, b"k", ended)])
    await world.pass_time(10 * HOUR_MS, 10 * MINUTE_MS)
    assert world.said() == []
    assert world.running[0][0].counters.undecodable_total == 1


async def test_an_interval_longer_than_a_record_may_say_comes_in_pieces() -> None:
    world = World()
    await world.collect(T0_MS - 70 * 24 * HOUR_MS, T0_MS - 70 * 24 * HOUR_MS + 1000)
    await world.pass_time(30 * MINUTE_MS)
    pieces = [one.observed for one in world.said()]
    assert len(pieces) == 3
    assert all(later and piece and later[0] == piece[1] for piece, later in pairwise(pieces))


async def test_a_closer_that_has_not_read_everything_says_nothing() -> None:
    world = World()
    await live(world, 10)
    await world.turn()
    world.now_ms += 2 * HOUR_MS
    await live(world, 1)
    [(closer, watch)] = world.running
    assert not await closer.sweep(watch, 0, world.at[0])
    assert world.said() == []


def coverage_of(world: World) -> list[tuple[int, Sequence[object]]]:
    return [(seal.header.epoch_start_s, seal.coverage) for seal in world.seals]


@pytest.mark.parametrize("closers", [1, 2, 3])
async def test_several_closers_beside_collectors_that_come_and_go_take_nothing_from_them(
    closers: int, seed: int
) -> None:
    """Whatever they say, what a collector observed is live in the seal, and every hour closes once."""
    random_ = random.Random(seed)
    world = World(closers, now_ms=T0_MS)
    observed: list[tuple[int, int]] = []
    while world.now_ms < T0_MS + 30 * HOUR_MS:
        for _ in range(random_.randint(1, 100)):
            start_ms = world.now_ms
            world.now_ms += random_.randint(10_000, 30_000)
            await world.collect(start_ms - 1000, world.now_ms - 1000)
            observed.append((start_ms - 1000, world.now_ms - 1000))
            if random_.random() < 0.3:
                await world.turn()
        await world.pass_time(random_.randint(1, 150) * MINUTE_MS)
    minutes = 60 + -world.now_ms // MINUTE_MS % 60 + 30
    observed.append((world.now_ms - 1000, world.now_ms - 1000 + minutes * MINUTE_MS))
    await watched(world, minutes)
    sealed_until_ms = max(seal.header.epoch_start_s * 1000 + HOUR_MS for seal in world.seals)
    assert sealed_until_ms == world.now_ms // HOUR_MS * HOUR_MS, "every finished hour, while it is watched"
    await world.pass_time(10 * HOUR_MS)
    assert all(one.type == "end" or (one.observed and one.observed[2] == "absent") for one in world.said())
    assert world.shard.metrics.late_events_total == 0
    live_ms = sum(end - start for seal in world.seals for start, end, kind in seal.coverage if kind == "live")
    assert live_ms == sum(end - start for start, end in observed)
    starts = [seal.header.epoch_start_s for seal in world.seals]
    assert len(starts) == len(set(starts))
    assert world.shard.low_water() == world.shard.next
