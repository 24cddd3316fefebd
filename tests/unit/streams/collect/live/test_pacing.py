"""JOIN pacing and the pauses after failures."""

import random

import pytest

from streams.collect.live.backoff import wait_s
from streams.collect.live.pacing import JOINS, WINDOW_S, Pacing


def test_no_window_ever_holds_more_than_the_limit_and_no_grant_is_wasted(seed: int) -> None:
    chance, pacing, now_s = random.Random(seed), Pacing(), 0.0
    granted: list[float] = []
    while len(granted) < 500:
        now_s += chance.choice((0.0, 0.125, 0.5, 3.0))  # sums of these are exact
        wait_s = pacing.wait_s(now_s)
        taken = pacing.take(now_s)
        assert taken == (wait_s == 0)
        free = sum(now_s - at_s < WINDOW_S for at_s in granted) < JOINS
        assert taken == free
        if taken:
            granted.append(now_s)
        elif chance.random() < 0.5:
            now_s += wait_s
    assert all(late - early >= WINDOW_S for early, late in zip(granted, granted[JOINS:], strict=False))


def test_ninety_joins_take_four_windows_and_no_more() -> None:
    pacing, now_s = Pacing(), 100.0
    for _ in range(90):
        now_s += pacing.wait_s(now_s)
        assert pacing.take(now_s)
    assert now_s == 100.0 + 4 * WINDOW_S


def test_held_pacing_grants_nothing_for_a_window() -> None:
    pacing = Pacing()
    pacing.hold(10.0)
    assert not pacing.take(10.0 + WINDOW_S - 0.1)
    assert pacing.take(10.0 + WINDOW_S)


@pytest.mark.parametrize("failures", [1, 2, 5, 60, 10_000])
def test_pauses_double_up_to_the_longest_with_jitter_of_a_half(failures: int, seed: int) -> None:
    chance = random.Random(seed)
    longest_s = min(60.0, 0.5 * 2 ** min(failures - 1, 20))
    waits = [wait_s(failures, 0.5, 60.0, chance) for _ in range(200)]
    assert longest_s / 2 <= min(waits) < max(waits) <= longest_s
    assert max(waits) - min(waits) > longest_s / 4
