"""Laws of the pool's pure parts, for whatever happens and whenever."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.chain.rpc.breaker import Breaker, State
from streams.chain.rpc.bucket import TokenBucket
from streams.chain.rpc.latency import Latency

MAX_COST = 20
RATES = st.floats(0.01, 1000)
BURSTS = st.floats(1, 1000)
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, MAX_COST)), max_size=60)


@given(RATES, BURSTS, STEPS)
def test_no_more_is_ever_taken_than_burst_and_rate_allow(
    rate: float, burst: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now_s, taken = TokenBucket(rate, burst, 0.0), 0.0, 0
    for wait_s, cost in steps:
        now_s += wait_s
        taken += cost if bucket.take(now_s, cost) else 0
        # A cost over the burst leaves a debt, so one may come before its tokens, never two.
        assert taken <= burst + rate * now_s + max(0.0, MAX_COST - burst) + 1e-6


@given(RATES, BURSTS, STEPS, st.integers(1, 50))
def test_what_it_says_to_wait_is_enough_and_not_too_long(
    rate: float, burst: float, steps: list[tuple[float, int]], cost: int
) -> None:
    bucket, now_s = TokenBucket(rate, burst, 0.0), 0.0
    for wait_s, taken in steps:
        now_s += wait_s
        bucket.take(now_s, taken)
    ready_s = bucket.ready_in_s(now_s, cost)
    if ready_s > 0:
        assert not bucket.take(now_s, cost)
        assert not bucket.take(now_s + ready_s * 0.9, cost) or ready_s * rate < 1e-6
    assert bucket.take(now_s + ready_s * (1 + 1e-9) + 1e-9, cost)


@given(RATES, BURSTS, st.lists(st.floats(-1000, 1000), max_size=20))
def test_a_clock_that_goes_back_gives_nothing(rate: float, burst: float, moves: list[float]) -> None:
    bucket, now_s, latest_s, taken = TokenBucket(rate, burst, 0.0), 0.0, 0.0, 0
    for move_s in moves:
        now_s += move_s
        latest_s = max(latest_s, now_s)
        while taken < 3000 and bucket.take(now_s):
            taken += 1
        assert taken <= burst + rate * latest_s + 1e-6 or taken == 3000


def test_a_clock_that_goes_back_takes_nothing_either() -> None:
    bucket = TokenBucket(1.0, 10.0, 100.0)
    assert bucket.take(100.0, 5)
    assert bucket.tokens(50.0) == 5
    assert bucket.tokens(101.0) == 6


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1), (1, float("inf")), (float("nan"), 1)])
def test_a_bucket_that_is_none_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="give numbers above 0"):
        TokenBucket(rate, burst, 0.0)


@given(st.lists(st.floats(0, 100), min_size=8, max_size=200))
def test_the_percentile_lies_among_what_was_seen_and_above_most_of_it(seen: list[float]) -> None:
    latency = Latency()
    for one in seen:
        latency.observe(one)
    p95_s, recent = latency.p95_s(), seen[-64:]
    assert p95_s is not None and p95_s in recent
    assert sum(one <= p95_s for one in recent) >= 0.95 * len(recent)
    assert min(seen) - 1e-9 <= latency.expected_s() <= max(seen) + 1e-9


def test_a_quick_fault_makes_no_good_name_and_a_long_wait_a_bad_one() -> None:
    latency = Latency()
    unknown_s = latency.expected_s()
    latency.at_least(unknown_s / 100)
    assert latency.expected_s() == unknown_s
    latency.observe(0.01)
    latency.at_least(5.0)
    assert latency.expected_s() > 0.9


class Breaking(RuleBasedStateMachine):
    """A breaker against what its chapter says, under any order of answers, faults, losses and times."""

    FAILURES, FIRST_S, LAST_S, STEADY_S = 3, 1.0, 16.0, 30.0

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(
            lambda: 0.0, failures=self.FAILURES, first_s=self.FIRST_S, last_s=self.LAST_S, steady_s=self.STEADY_S
        )
        self.now_s = 0.0
        self.permits: list[int] = []
        self.open_until_s: float | None = None
        self.next_s = self.FIRST_S
        self.closed_at_s = float("-inf")
        self.in_a_row = 0
        self.trial: int | None = None
        """The permit of the trial under way."""
        self.current: set[int] = set()
        """Permits, by their place in the list, that still say something."""

    @rule(seconds=st.floats(0, 40))
    def time_goes_on(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def begins(self) -> None:
        permit = self.breaker.begin(self.now_s)
        may = self.open_until_s is None or (self.now_s >= self.open_until_s and self.trial is None)
        assert (permit is not None) == may
        if permit is not None:
            self.permits.append(permit)
            self.current.add(len(self.permits) - 1)
            if self.open_until_s is not None:
                self.trial = len(self.permits) - 1

    def _ended(self, data: st.DataObject) -> tuple[int, bool]:
        index = data.draw(st.sampled_from(range(len(self.permits))))
        known = index in self.current
        return index, known

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def one_succeeds(self, data: st.DataObject) -> None:
        index, known = self._ended(data)
        self.breaker.succeeded(self.permits[index], self.now_s)
        if known:
            self.in_a_row = 0
            if self.open_until_s is not None:
                self.open_until_s, self.closed_at_s = None, self.now_s
                self._new_era()

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def one_fails(self, data: st.DataObject) -> None:
        index, known = self._ended(data)
        self.breaker.failed(self.permits[index], self.now_s)
        if known:
            self.in_a_row += 1
            if self.open_until_s is not None or self.in_a_row >= self.FAILURES:
                if self.open_until_s is None and self.now_s - self.closed_at_s >= self.STEADY_S:
                    self.next_s = self.FIRST_S
                self.open_until_s = self.now_s + self.next_s
                self.next_s = min(2 * self.next_s, self.LAST_S)
                self._new_era()

    @precondition(lambda self: self.trial is not None)
    @rule()
    def the_trial_is_lost(self) -> None:
        assert self.trial is not None
        self.breaker.abandoned(self.permits[self.trial])
        self.trial = None

    def _new_era(self) -> None:
        self.trial, self.in_a_row = None, 0
        self.current.clear()

    @invariant()
    def the_state_is_what_the_model_says(self) -> None:
        if self.open_until_s is None:
            expected = State.CLOSED
        else:
            expected = State.OPEN if self.now_s < self.open_until_s else State.HALF_OPEN
        assert self.breaker.state(self.now_s) is expected
        assert self.breaker.ready_in_s(self.now_s) <= self.LAST_S or self.trial is not None


TestBreaking = Breaking.TestCase


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 12))
def test_time_open_doubles_to_its_bound_less_up_to_a_quarter(chance: float, times: int) -> None:
    drawn: Callable[[], float] = lambda: chance  # noqa: E731
    breaker, now_s = Breaker(drawn, failures=1, first_s=1.0, last_s=60.0), 0.0
    for number in range(times):
        permit = breaker.begin(now_s)
        assert permit is not None
        breaker.failed(permit, now_s)
        whole_s = min(60.0, 2.0**number)
        assert 0.75 * whole_s <= breaker.ready_in_s(now_s) <= whole_s
        now_s += breaker.ready_in_s(now_s)
    assert breaker.opened_total == times
