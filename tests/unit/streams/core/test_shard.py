"""The shard's rules, one by one, on logs a person can read. The laws on random logs are in tests/property."""

import pytest

from schemas.envelope import encode
from schemas.policy import PolicySchedule
from schemas.sealed import Closed, Late, decode_record
from streams.core.shard import OutOfOrder, Shard
from tests import logs
from tests.logs import LENGTH_MS, PEPPER, SCHEDULE, T0, Event, World, envelope, run_through

C = logs.CHANNELS[0]
GRACE_MS = 2_000


def live(start_ms: int, end_ms: int, *events: Event) -> bytes:
    return envelope(C, events, (T0 + start_ms, T0 + end_ms, "live"))


def absent(start_ms: int, end_ms: int) -> bytes:
    return envelope(C, [], (T0 + start_ms, T0 + end_ms, "absent"))


def at(ms: int, number: int = 1, who: int = 0) -> Event:
    return Event(T0 + ms, number, who=who)


def keys(world: World) -> list[tuple[int, int]]:
    return [((epoch_s * 1000 - T0) // LENGTH_MS, revision) for _, epoch_s, revision in world.seals()]


def leaf_counts(world: World) -> list[int]:
    return [sealed.header.leaf_count for sealed in world.seals().values()]


def test_an_epoch_closes_when_the_watermark_reaches_its_end_and_not_a_ms_before() -> None:
    end_ms = LENGTH_MS + GRACE_MS
    assert keys(run_through([live(0, end_ms - 1, at(5))])) == []
    assert keys(run_through([live(0, end_ms, at(5))])) == [(0, 0)]


def test_a_hole_holds_the_watermark_until_it_is_filled() -> None:
    log = [live(0, 4_000, at(5)), live(5_000, 30_000)]
    assert keys(run_through(log)) == []
    assert keys(run_through([*log, envelope(C, [], (T0 + 4_000, T0 + 5_000, "recovered"))])) == [(0, 0), (1, 0)]


def test_a_hole_declared_absent_is_written_into_the_coverage() -> None:
    world = run_through([live(0, 4_000, at(5)), live(5_000, 15_000), absent(4_000, 5_000)])
    (sealed,) = world.seals().values()
    assert [(start - T0, end - T0, kind) for start, end, kind in sealed.coverage] == [
        (0, 4_000, "live"), (4_000, 5_000, "absent"), (5_000, 10_000, "live"),
    ]  # fmt: skip


def test_a_channel_that_falls_silent_still_seals() -> None:
    assert keys(run_through([live(0, 3_000, at(5)), live(3_000, 9_000), live(9_000, 12_000)])) == [(0, 0)]


def test_an_observed_hour_without_participants_seals_empty() -> None:
    world = run_through([live(0, 12_000)])
    assert keys(world) == [(0, 0)]
    assert leaf_counts(world) == [0]


def test_an_hour_that_nobody_observed_is_closed_and_not_sealed() -> None:
    world = run_through([live(0, 10_000, at(5)), absent(10_000, 35_000)])
    assert keys(world) == [(0, 0)]
    (closed,) = world.closings()
    assert (closed.from_s, closed.until_s) == ((T0 + 10_000) // 1000, (T0 + 30_000) // 1000)


def test_an_end_closes_every_open_epoch_ascending() -> None:
    log = [envelope(C, [at(25_000, 1), at(5, 2)], None), encode("end", C, "a", "s", 1)]
    assert keys(run_through(log)) == [(0, 0), (2, 0)]


def test_after_an_end_the_gap_holds_nothing_up() -> None:
    log = [live(0, 3_000, at(5)), encode("end", C, "a", "s", 1), live(60_000, 72_000, at(60_005, 2))]
    assert keys(run_through(log)) == [(0, 0), (6, 0)]


def test_an_event_of_a_closed_epoch_is_late_counted_and_kept_for_a_revision() -> None:
    log = [live(0, 12_000, at(5)), live(12_000, 13_000, at(7, 2, who=1), at(12_500, 3))]
    world = run_through(log)
    (late,) = [record for record in map(decode_record, world.sealed) if isinstance(record, Late)]
    assert (late.epoch_start_s, late.offset, late.count) == (T0 // 1000, 1, 1)
    reseal = encode("reseal", C, "a", "s", 2, (T0, T0 + LENGTH_MS, "absent"))
    resealed = run_through([*log, reseal])
    assert keys(resealed) == [(0, 0), (0, 1)]
    assert leaf_counts(resealed) == [1, 2]


def test_a_later_interval_alone_revises_nothing() -> None:
    assert keys(run_through([live(0, 12_000, at(5)), absent(0, 12_000), live(2_000, 13_000)])) == [(0, 0)]


def test_a_reseal_of_an_epoch_that_was_never_sealed_makes_revision_0() -> None:
    log = [absent(0, 12_000), live(12_000, 13_000, at(5)),
           encode("reseal", C, "a", "s", 2, (T0, T0 + LENGTH_MS, "absent"))]  # fmt: skip
    assert keys(run_through(log)) == [(0, 0)]


def test_a_reseal_of_an_open_epoch_is_a_dead_letter() -> None:
    world = run_through([live(0, 5_000, at(5)), encode("reseal", C, "a", "s", 2, (T0, T0 + LENGTH_MS, "absent"))])
    assert keys(world) == []
    assert b"that is not a closed epoch" in world.dead[0]


@pytest.mark.parametrize(("start_ms", "end_ms"), [(0, 9_000), (0, 2 * LENGTH_MS), (1, LENGTH_MS + 1)])
def test_a_reseal_of_anything_but_one_epoch_is_a_dead_letter(start_ms: int, end_ms: int) -> None:
    log = [live(0, 32_000, at(5)), encode("reseal", C, "a", "s", 2, (T0 + start_ms, T0 + end_ms, "absent"))]
    world = run_through(log)
    assert (keys(world), len(world.dead)) == ([(0, 0), (1, 0), (2, 0)], 1)


def test_an_epoch_of_a_longer_grace_is_not_overtaken_by_the_next_one() -> None:
    schedule = PolicySchedule(logs.CHANGED)  # epoch 0 waits for 17 s, epoch 1 for none
    log = [live(0, 22_000, at(5)), live(22_000, 26_000, at(8, 2, who=1)), live(26_000, 27_000)]
    assert keys(run_through(log[:2], schedule)) == []
    world = run_through(log, schedule)
    assert keys(world) == [(0, 0), (1, 0)]
    assert leaf_counts(world) == [2, 0]
    assert world.late() == {}


def test_each_epoch_is_weighed_by_its_own_policy() -> None:
    schedule = PolicySchedule(logs.CHANGED)
    world = run_through([live(0, 30_000, Event(T0 + 5, 1, amount=7), Event(T0 + 10_005, 2, amount=7))], schedule)
    assert [sealed.header.total_weight_centi for sealed in world.seals().values()] == [107, 22, 0]


@pytest.mark.parametrize(("after_ms", "quarantined"), [(59_999, 0), (60_000, 1)])
def test_an_event_60_s_after_its_records_observation_is_quarantined(after_ms: int, quarantined: int) -> None:
    world = run_through([live(0, 1_000, at(1_000 + after_ms, 1), at(5, 2))])
    assert world.quarantined == quarantined
    assert len(world.dead) == quarantined


def test_a_bad_record_is_a_dead_letter_and_the_next_one_is_folded() -> None:
    world = run_through([live(0, 5_000, at(5)), b"junk", live(5_000, 12_000)])
    assert keys(world) == [(0, 0)]
    assert len(world.dead) == 1


def test_nothing_of_a_bad_record_counts() -> None:
    good = envelope(C, [at(5)], (T0, T0 + 12_000, "live"))
    wrong_viewer = good.replace(b"twitch:id:7", b"twitch-id:7")
    world = run_through([wrong_viewer])
    assert (world.sealed, len(world.dead)) == ([], 1)


def test_a_bad_viewer_in_a_record_of_late_events_only_is_found_too() -> None:
    late_and_seen = envelope(C, [at(7, 2)], (T0 + 12_000, T0 + 15_000, "live"))
    log = [live(0, 12_000, at(5)), late_and_seen.replace(b"twitch:id:8", b"twitch-id:8"), absent(12_000, 22_000)]
    world = run_through(log)
    assert (len(world.dead), world.late()) == (1, {})
    assert [kind for _, _, kind in list(world.seals().values())[1].coverage] == ["live", "absent"]
    assert list(world.seals().values())[1].coverage[0][1] == T0 + 12_000


def test_a_revision_takes_nothing_of_a_bad_record() -> None:
    over_the_edge = envelope(C, [at(9_500, 2)], (T0 + 9_000, T0 + 15_000, "live"))
    reseal = encode("reseal", C, "a", "s", 2, (T0 + LENGTH_MS, T0 + 2 * LENGTH_MS, "absent"))
    log = [live(0, 9_000, at(5)), over_the_edge.replace(b"twitch:id:8", b"twitch-id:8"),
           live(9_000, 12_000), absent(12_000, 22_000), reseal]  # fmt: skip
    seals = run_through(log).seals()
    first, second = (seals[C, T0 // 1000 + 10, revision] for revision in (0, 1))
    assert second.coverage == first.coverage


def test_a_record_that_is_not_next_is_never_folded() -> None:
    shard = Shard(SCHEDULE, PEPPER, 5)
    for offset in (4, 6):
        with pytest.raises(OutOfOrder, match=f"record {offset} offered where 5 is next"):
            shard.feed(offset, live(0, 1_000, at(5)))
    assert shard.metrics.events_total == 0


def test_the_low_water_mark_waits_for_acknowledgement() -> None:
    shard = Shard(SCHEDULE, PEPPER, 0)
    (seal,) = shard.feed(0, live(0, 12_000, at(5)))
    assert shard.low_water() == 0
    shard.feed(1, live(12_000, 13_000))
    shard.acknowledged(seal.ordinal)
    assert shard.low_water() == 0  # record 0 also covers the epoch that is open now
    (seal,) = shard.feed(2, live(13_000, 22_500))
    shard.acknowledged(seal.ordinal)
    assert shard.low_water() == 2


def test_lost_and_repeated_envelopes_are_counted() -> None:
    shard = Shard(SCHEDULE, PEPPER, 0)
    for offset, seq in enumerate((0, 1, 4, 4, 5)):
        shard.feed(offset, envelope(C, [at(5)], None, seq))
    assert (shard.metrics.lost_envelopes_total, shard.metrics.repeated_envelopes_total) == (2, 1)


def test_closings_say_where_the_frontier_stood() -> None:
    world = run_through([absent(0, 35_000)])
    (closed,) = (record for record in map(decode_record, world.sealed) if isinstance(record, Closed))
    assert closed.frontier_ms == T0 + 35_000
