"""Law 1 and law 2 of the design on random logs: the shard against the oracle, against crashes, cuts and doubles."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead import decode as decode_dead
from schemas.envelope import encode
from schemas.policy import Policy, PolicySchedule
from streams.core import hashing
from tests import logs, oracle
from tests.logs import LENGTH_MS, PEPPER, POLICY, T0, Event, World, envelope, run_through


@pytest.fixture(scope="module", params=["native", "python"], autouse=True)
def _both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law, with the fast extra and without."""
    assert request.param == "python" or hashing.enable_fast(None)
    yield
    hashing.disable_fast()


def headers(world: World) -> dict[tuple[str, int, int], bytes]:
    return {key: sealed.header.encode() for key, sealed in world.seals().items()}


schedules = st.sampled_from([[(0, POLICY)], logs.CHANGED])
"""One policy for all time, or one that changes in mid-stream."""


@given(st.lists(logs.any_records(), max_size=25), schedules)
def test_shard_tells_what_the_oracle_tells(log: list[bytes], policies: list[tuple[int, Policy]]) -> None:
    world, told = run_through(log, PolicySchedule(policies)), oracle.tell(log, policies, PEPPER)
    assert headers(world) == {(seal.channel, seal.epoch_start_s, seal.revision): seal.header for seal in told.seals}
    seals = world.seals()
    for seal in told.seals:
        made = seals[seal.channel, seal.epoch_start_s, seal.revision]
        assert made.preimages().tobytes() == seal.leaves
        assert made.coverage == seal.coverage
    assert world.late() == told.late
    assert world.quarantined == told.quarantined
    assert [letter.where["offset"] for letter in map(decode_dead, world.dead) if letter.what == "record"] == told.dead


@given(st.lists(logs.any_records(), min_size=1, max_size=25), schedules, st.data())
def test_crashes_anywhere_change_no_seal_and_lose_none(
    log: list[bytes], policies: list[tuple[int, Policy]], data: st.DataObject
) -> None:
    expected = run_through(log, PolicySchedule(policies))
    world = World(log, PolicySchedule(policies))
    crashes = data.draw(st.integers(1, 4), label="crashes")
    for life in range(crashes + 1):
        shard = world.start(summarise=data.draw(st.booleans(), label="summarise"))
        world.say_summaries()
        steps = data.draw(st.integers(0, len(log)), label="steps") if life < crashes else len(log)
        for _ in range(min(steps, len(log) - shard.next)):
            lost = life < crashes and data.draw(st.booleans(), label="lost on the way")
            heard = life == crashes or data.draw(st.booleans(), label="heard")
            world.step(shard, acknowledge=heard, lose=lost)
            if data.draw(st.booleans(), label="commit"):
                world.committed = max(world.committed, shard.low_water())
    assert headers(world) == headers(expected)
    assert world.late() == expected.late()
    assert set(world.dead) == set(expected.dead)


@given(st.lists(logs.any_records(), min_size=1, max_size=20), schedules, st.data())
def test_stopped_worker_that_goes_on_later_changes_no_seal(
    log: list[bytes], policies: list[tuple[int, Policy]], data: st.DataObject
) -> None:
    expected = run_through(log, PolicySchedule(policies))
    world = World(log, PolicySchedule(policies))
    shards = [world.start()]
    while min(shard.next for shard in shards) < len(log):
        if len(shards) < 3 and data.draw(st.booleans(), label="a second worker starts"):
            shards.append(world.start(summarise=data.draw(st.booleans(), label="summarise")))
        if data.draw(st.booleans(), label="a summary is said, maybe an old one"):
            world.say_summaries()
        shard = data.draw(st.sampled_from([shard for shard in shards if shard.next < len(log)]), label="who runs")
        world.step(shard)
        world.committed = data.draw(st.sampled_from([world.committed, shard.low_water()]), label="commit, even back")
    assert headers(world) == headers(expected)


@given(st.lists(logs.records(), max_size=15), st.lists(logs.records(), max_size=15))
def test_other_channels_do_not_matter(one: list[bytes], two: list[bytes]) -> None:
    def of(world: World, channel: str) -> set[bytes]:
        return {header for key, header in headers(world).items() if key[0] == channel}

    from schemas.envelope import decode

    channel = logs.CHANNELS[0]
    alone = [record for record in one + two if decode(record).channel == channel]
    assert of(run_through(one + two), channel) == of(run_through(alone), channel)


on_time = st.builds(
    Event,
    st.integers(0, 2 * LENGTH_MS - 1).map(lambda ms: T0 + ms),
    logs.ids,
    st.sampled_from([0, 1, 3, 4, 7]),
    st.integers(0, 5),
    st.sampled_from([0, 7]),
)


def told_in_time(batches: list[list[Event]]) -> list[bytes]:
    """Records that say the batches, all before the watermark closes anything, then the time that closes them."""
    channel = logs.CHANNELS[0]
    said = [envelope(channel, batch, (T0, T0 + 1000, "live"), seq) for seq, batch in enumerate(batches) if batch]
    return [*said, encode("tick", channel, "a", "s", 0, (T0 + 1000, T0 + 2 * LENGTH_MS + 2_000, "live"))]


@given(st.lists(on_time, min_size=1, max_size=12), st.data())
def test_cuts_order_and_doubles_do_not_matter_where_nothing_is_late(events: list[Event], data: st.DataObject) -> None:
    expected = headers(run_through(told_in_time([events])))
    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)), label="again")))
    cut = data.draw(st.integers(0, len(shuffled)), label="cut")
    assert headers(run_through(told_in_time([shuffled[:cut], shuffled[cut:]]))) == expected


@given(st.lists(on_time, min_size=1, max_size=8), st.sampled_from([1_300_000_000_000, 4_102_444_799_999]))
def test_one_wild_time_stamp_changes_nothing_but_itself(events: list[Event], at: int) -> None:
    expected = run_through(told_in_time([events[:1], events]))
    world = run_through(told_in_time([events[:1], [*events, Event(at, 999)]]))
    ours = {key: header for key, header in headers(world).items() if key[1] * 1000 >= T0 - LENGTH_MS}
    assert ours == headers(expected)
