"""Records fed again after a restart are judged as they were the first time, though their epochs are closed by now."""

from schemas.envelope import encode, encode_reseal
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


def test_an_end_record_fed_again_says_nothing_more() -> None:
    log = [
        envelope(CHANNEL, [Event(T0 + 1_000, 1)], (T0, T0 + 5_000, "live")),
        encode("end", CHANNEL, "a", "s", 1),
    ]
    shard = resumed(log, 0)
    assert [made for offset, value in enumerate(log) for made in shard.feed(offset, value)] == []
