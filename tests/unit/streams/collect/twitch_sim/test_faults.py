"""The schedule of misbehaviours: read strictly, and the same for the same seed."""

from itertools import islice, pairwise

import pytest

from streams.collect.twitch_sim.faults import DEFAULT_FOR_S, FaultSpecError, Rule, parse_faults, schedule


def test_a_spec_is_kinds_with_their_seconds() -> None:
    assert parse_faults("") == []
    assert parse_faults("cut/30, silent/120/20,split/0.5") == [
        Rule("cut", 30_000, 0.0),
        Rule("silent", 120_000, 20.0),
        Rule("split", 500, DEFAULT_FOR_S["split"]),
    ]


@pytest.mark.parametrize(
    "spec", ["cut", "cut/", "cut/x", "cut/0", "cut/-1", "boo/3", "cut/1/2/3", "cut/nan", "cut/1/-1"]
)
def test_a_part_that_cannot_be_read_is_named_with_the_mend(spec: str) -> None:
    with pytest.raises(FaultSpecError, match=f"fault '{spec}'.*cut/30"):
        parse_faults(f"close/5,{spec}")


def test_the_schedule_is_the_seeds_in_order_of_time_and_as_dense_as_told() -> None:
    rules = parse_faults("cut/10,duplicate/1")
    faults = list(islice(schedule(rules, 7), 1100))
    assert faults == list(islice(schedule(rules, 7), 1100))
    assert faults != list(islice(schedule(rules, 8), 1100))
    assert [fault.at_ms for fault in faults] == sorted(fault.at_ms for fault in faults)
    cuts = [fault for fault in faults if fault.kind == "cut"]
    assert 80 <= len(cuts) <= 120
    gaps = [b.at_ms - a.at_ms for a, b in pairwise(cuts)]
    assert all(5_000 <= gap <= 15_000 for gap in gaps)


def test_no_rules_no_faults() -> None:
    assert list(schedule([], 1)) == []
