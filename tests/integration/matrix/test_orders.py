"""Where nothing is later than the grace, seals depend on neither cuts, nor doubles, nor order, nor who collected.

A collector is modelled as design.md says: lines arrive up to 0.4 s out of order, and what it claims to have observed
stays 1 s behind its newest arrival.
"""

import random
from functools import cache
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import encode
from tests.logs import CHANNELS, LENGTH_MS, T0, Event, World, events_of, run_through

HOURS: Final = 3
END: Final = T0 + HOURS * LENGTH_MS
CHANNEL: Final = CHANNELS[0]

seeds = st.integers(0, 2**32)
lengths_ms = st.integers(200, 1_500)
"""Of an envelope: below the grace of 2 s, as the real 30 s at most are below 120."""


@cache
def chat(seed: int) -> tuple[Event, ...]:
    """Some hours of chat; few ids are used twice, with other content."""
    rng = random.Random(seed)
    count = rng.randint(1, 60)
    ids = [rng.randrange(1 << 100) if rng.random() < 0.95 else 7 for _ in range(count)]
    return tuple(
        Event(rng.randrange(T0, END), number, rng.choice((0, 0, 0, 1, 3, 4, 7)), rng.randrange(6), rng.choice((0, 9)))
        for number in ids
    )


def collected(events: tuple[Event, ...], rng: random.Random, longest_ms: int, source: str) -> list[bytes]:
    """What one collector appends: envelopes and ticks, each after at most longest_ms, and a last claim."""
    arrivals = sorted((event.at + rng.randrange(400), number) for number, event in enumerate(events))
    log: list[bytes] = []
    now, claimed, taken = T0, T0, 0
    while now < END + 1000:
        now += rng.randint(longest_ms // 4, longest_ms)
        batch = []
        while taken < len(arrivals) and arrivals[taken][0] < now:
            batch.append(events[arrivals[taken][1]])
            taken += 1
        until = max(claimed, min(now - 1000, END))
        observed = (claimed, until, "live") if until > claimed else None
        if batch or observed:
            log.append(_envelope(source, len(log), batch, observed))
        claimed = until
    log.append(_envelope(source, len(log), [], (claimed, END + 3_000, "live")))
    return log


def _envelope(source: str, seq: int, events: list[Event], observed: tuple[int, int, str] | None) -> bytes:
    columns = events_of(events) if events else None
    return encode("events" if events else "tick", CHANNEL, "a", source, seq, observed, columns)  # type: ignore[arg-type]


def headers(world: World) -> dict[tuple[str, int, int], bytes]:
    return {place: sealed.header.encode() for place, sealed in world.seals().items()}


def reference(seed: int) -> dict[tuple[str, int, int], bytes]:
    """One collector."""
    world = run_through(collected(chat(seed), random.Random(seed), 1_000, "one"))
    assert not world.late()
    assert len(world.seals()) == HOURS
    return headers(world)


@settings(max_examples=40)
@given(seeds, lengths_ms)
def test_other_batches_give_the_same_seals(seed: int, longest_ms: int) -> None:
    world = run_through(collected(chat(seed), random.Random(seed + 1), longest_ms, "one"))
    assert not world.late()
    assert headers(world) == reference(seed)


@settings(max_examples=40)
@given(seeds, lengths_ms)
def test_every_envelope_delivered_twice_gives_the_same_seals(seed: int, longest_ms: int) -> None:
    log = collected(chat(seed), random.Random(seed + 1), longest_ms, "one")
    assert headers(run_through([again for value in log for again in (value, value)])) == reference(seed)


@settings(max_examples=40)
@given(seeds, lengths_ms)
def test_neighbours_swapped_give_the_same_seals(seed: int, longest_ms: int) -> None:
    log = collected(chat(seed), random.Random(seed + 1), longest_ms, "one")
    for first in range(0, len(log) - 1, 2):
        log[first : first + 2] = log[first + 1], log[first]
    world = run_through(log)
    assert not world.late()
    assert headers(world) == reference(seed)


@settings(max_examples=40)
@given(seeds, lengths_ms, lengths_ms)
def test_two_collectors_interleaved_anyhow_give_the_same_seals(seed: int, longest_ms: int, theirs_ms: int) -> None:
    rng = random.Random(seed + 2)
    ours, theirs = collected(chat(seed), rng, longest_ms, "one"), collected(chat(seed), rng, theirs_ms, "two")
    turns = [0] * len(ours) + [1] * len(theirs)
    rng.shuffle(turns)
    queues = (iter(ours), iter(theirs))
    assert headers(run_through([next(queues[turn]) for turn in turns])) == reference(seed)


@settings(max_examples=40)
@given(seeds)
def test_these_tests_can_fail(seed: int) -> None:
    """One event less is another seal."""
    events = chat(seed)
    counted = [event for event in events if event.kind <= 5 and event.who < 4 and event.id != 7]
    if counted:
        kept = tuple(event for event in events if event is not counted[0])
        assert headers(run_through(collected(kept, random.Random(seed), 1_000, "one"))) != reference(seed)
