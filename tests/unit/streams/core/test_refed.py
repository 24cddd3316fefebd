"""Records fed again after a restart are judged as they were the first time, though their epochs are closed by now."""

import msgspec
import pytest

from schemas.envelope import encode, encode_reseal
from schemas.errors import SchemaError
from schemas.policy import PolicySchedule
from schemas.sealed import Seal, decode_record
from schemas.streams import DEAD
from streams.core.outputs import Output
from streams.core.resume import Resume
from streams.core.shard import Shard
from tests.logs import PEPPER, POLICY, SCHEDULE, T0, Event, envelope, run_through

CHANNEL = "twitch:id:1"


def resumed(log: list[bytes], start: int) -> Shard:
    """A shard that starts anew at `start` after all of the log was sealed."""
    resume = Resume(start, POLICY.epoch_length_s)
    for value in run_through(log).sealed:
        resume.feed(value)
    return Shard(SCHEDULE, PEPPER, start, resume)


def test_a_reseal_that_came_before_its_epoch_closed_stays_a_dead_letter() -> None:
    log = [
        envelope(CHANNEL, [Event(T0 + 1_000, 1)], (T0, T0 + 5_000, "live")),
        encode_reseal(CHANNEL, "a", "timer", 0, T0 // 1000, POLICY.epoch_length_s),
        envelope(CHANNEL, [Event(T0 + 6_000, 2)], (T0 + 5_000, T0 + 13_000, "live"), seq=1),
    ]
    world = run_through(log)
    shard = resumed(log, 0)
    again = [made for offset, value in enumerate(log) for made in shard.feed(offset, value)]
    assert [made.stream for made in again if isinstance(made, Output)] == [DEAD]
    assert [value for made in again if isinstance(made, Output) for _, value in made.records] == world.dead


def test_a_bad_record_fed_again_is_bad_again_though_its_epoch_is_closed_by_now() -> None:
    """Else its interval would count in the epoch that is still open, and seal it with another coverage."""
    bad = envelope(CHANNEL, [Event(T0 + 9_500, 2)], (T0 + 9_000, T0 + 15_000, "live"))
    log = [
        envelope(CHANNEL, [Event(T0 + 1_000, 1)], (T0, T0 + 9_000, "live")),
        bad.replace(b"twitch:id:8", b"twitch-id:8"),
        envelope(CHANNEL, [], (T0 + 9_000, T0 + 12_000, "live"), seq=1),
    ]
    closing = envelope(CHANNEL, [], (T0 + 12_000, T0 + 22_000, "absent"), seq=2)
    shard = resumed(log, 0)
    again = [made for offset, value in enumerate([*log, closing]) for made in shard.feed(offset, value)]
    said = [record for made in again if isinstance(made, Output) for record in made.records]
    world = run_through([*log, closing])
    assert [value for _, value in said] == [*world.dead, world.sealed[-1]]


def test_a_shard_does_not_start_where_the_policy_file_gainsays_what_was_sealed() -> None:
    log = [envelope(CHANNEL, [Event(T0 + 1_000, 1), Event(T0 + 11_000, 2)], (T0, T0 + 32_000, "live"))]
    epoch_s = T0 // 1000
    weights = msgspec.structs.replace(POLICY.weights_centi, sub=2)
    newer = msgspec.structs.replace(POLICY, version=2, weights_centi=weights)
    longer = msgspec.structs.replace(POLICY, version=2, epoch_length_s=20)
    resume = Resume(0, POLICY.epoch_length_s)
    for value in run_through(log).sealed:
        resume.feed(value)
    for schedule in (PolicySchedule.of(newer), PolicySchedule([(0, POLICY), (epoch_s + 20, newer)])):
        with pytest.raises(SchemaError, match=f"epoch at {epoch_s + 20 if schedule.at(0) == POLICY else epoch_s} was "):
            Shard(schedule, PEPPER, 0, resume)
    with pytest.raises(SchemaError, match="sealed under the policy"):
        Shard(PolicySchedule.of(longer), PEPPER, 0, resume)
    Shard(PolicySchedule([(0, POLICY), (epoch_s + 30, newer)]), PEPPER, 0, resume)


def test_an_end_record_fed_again_says_nothing_more() -> None:
    log = [
        envelope(CHANNEL, [Event(T0 + 1_000, 1)], (T0, T0 + 5_000, "live")),
        encode("end", CHANNEL, "a", "s", 1),
    ]
    shard = resumed(log, 0)
    assert [made for offset, value in enumerate(log) for made in shard.feed(offset, value)] == []


def test_an_observation_of_closed_time_after_an_end_is_nothing_that_a_later_worker_must_know() -> None:
    log = [
        encode("end", CHANNEL, "a", "s", 0, (T0, T0 + 1, "live")),
        envelope(CHANNEL, [], (T0, T0 + 1, "live")),
        envelope(CHANNEL, [], (T0 + 12_000, T0 + 40_000, "recovered")),
    ]
    world = run_through(log)
    whole = [decode_record(value) for value in world.sealed]
    resume = Resume(2, POLICY.epoch_length_s)
    resume.feed(world.sealed[0])
    later = Shard(SCHEDULE, PEPPER, 2, resume)
    said = [value for made in later.feed(2, log[2]) if isinstance(made, Output) for _, value in made.records]
    assert [one.epoch_start_s for one in whole if isinstance(one, Seal)] == [T0 // 1000 + at for at in (0, 10, 20)]
    assert said == world.sealed[1:]
