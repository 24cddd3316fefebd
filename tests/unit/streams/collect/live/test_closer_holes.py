"""The closer where somebody watches, or will again: holes that no collector knows of, and a log that was away."""

import pytest

from streams.log.port import LogError
from tests.closing import HOUR_MS, MINUTE_MS, T0_MS, World, live, missed, watched


async def test_a_hole_that_no_collector_knows_of_is_closed_while_the_channel_is_watched() -> None:
    world = World()
    await live(world, 10)
    holes = [await missed(world, 5)]
    await watched(world, 14)
    assert world.said() == [], "a collector that knows of it may still declare or fill it"
    await watched(world, 2)
    assert [one.observed for one in world.said()] == [(*holes[0], "absent")]
    for _ in range(3):
        holes.append(await missed(world, 2))
        await watched(world, 1)
    await watched(world, 60)
    assert [one.observed for one in world.said()] == [(*hole, "absent") for hole in holes]
    assert world.running[0][0].counters.holes_total == 4
    before, seal = world.seals
    assert before.header.epoch_start_s * 1000 == T0_MS - HOUR_MS
    assert [piece for piece in seal.coverage if piece[2] == "absent"] == [(*hole, "absent") for hole in holes]
    assert world.shard.low_water() > 100, "nothing holds the sealed hour's records"


async def test_what_was_observed_after_all_wins_over_a_hole_that_the_closer_closed() -> None:
    world = World()
    await live(world, 10)
    hole = await missed(world, 5)
    await watched(world, 20)
    assert len(world.said()) == 1
    await world.collect(*hole, source="c2")
    await watched(world, 40)
    assert [kind for _, _, kind in world.seals[-1].coverage] == ["live"]


async def test_a_hole_that_its_collector_declares_is_left_to_it() -> None:
    world = World()
    for _ in range(6):
        await live(world, 10)
        hole = await missed(world, 1)
        await watched(world, 14)
        await world.collect(*hole, "absent")
    assert world.said() == []


@pytest.mark.parametrize("how", ["fails", "hangs", "fails as the closer starts"])
async def test_silence_is_counted_from_the_return_of_a_log_that_was_away(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector spools meanwhile, and sends some seconds after the closer reads again: for over an hour's end."""
    world = World()
    await watched(world, 50)
    [(closer, watch)] = world.running
    if how == "hangs":
        really_span = world.log.span

        async def span(stream: str, partition: int) -> tuple[int, int]:
            world.now_ms += 25 * MINUTE_MS
            return await really_span(stream, partition)

        with monkeypatch.context() as patch:
            patch.setattr(world.log, "span", span)
            await closer.sweep(watch, 0, world.at[0])
    else:
        if how == "fails as the closer starts":
            world.now_ms += 24 * MINUTE_MS
            world.running.clear()
            world.at.clear()
            world.start()
            [(closer, watch)] = world.running
        world.log.fail.add("read")
        with pytest.raises(LogError):
            await closer.step(watch, 0, world.at[0])
        world.now_ms += MINUTE_MS if how == "fails as the closer starts" else 25 * MINUTE_MS
        world.log.fail.clear()
        if how == "fails as the closer starts":
            await world.collect(world.now_ms - 5000, world.now_ms - 1000, channel="twitch:id:2", source="c2")
    await world.turn()
    assert world.said() == []
    for at_ms in range(world.now_ms - 25 * MINUTE_MS, world.now_ms, MINUTE_MS):
        await world.collect(at_ms - 1000, at_ms + MINUTE_MS - 1000)
    await watched(world, 5)
    assert [kind for _, _, kind in world.seals[-1].coverage] == ["live"]
    assert world.said() == []
    await world.pass_time(61 * MINUTE_MS)
    assert world.said(), "and what is left then is closed as ever"


async def test_a_hole_waits_for_the_log_too() -> None:
    world = World()
    await watched(world, 30)
    await missed(world, 2)
    await watched(world, 1)
    [(closer, watch)] = world.running
    world.log.fail.add("span")
    with pytest.raises(LogError):
        await closer.sweep(watch, 0, world.at[0])
    world.now_ms += 20 * MINUTE_MS
    world.log.fail.clear()
    await world.collect(world.now_ms - 5000, world.now_ms - 1000, source="c2")
    await world.turn()
    assert world.said() == [], "what fills it may lie in a spool"
