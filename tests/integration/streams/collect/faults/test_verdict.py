"""The check notices each thing that a collector can do wrong."""

import numpy as np

from tests.integration.streams.collect.faults.verdict import Kept, Told, Verdict, judge

SPAN = (1_000, 11_000)
AT = (1_000, 4_999, 5_000, 9_000)
IDS = [bytes([number]) * 16 for number in range(4)]
TOLD = {"ember": Told(np.frombuffer(b"".join(IDS), "V16"), np.array(AT))}


def verdict(rows: tuple[int, ...], live: list[tuple[int, int]], allowed_ms: int = 4_000) -> Verdict:
    kept = Kept({(IDS[row], AT[row]) for row in rows}, live)
    return judge(TOLD, {"ember": kept}, SPAN, {"ember": allowed_ms})


def test_an_event_that_is_missing_where_nothing_is_claimed_is_no_fault() -> None:
    assert verdict((0, 1, 3), [(5_001, 11_000), (1_000, 5_000)], 1).faults == []


def test_an_event_that_is_missing_within_a_claim_is_one() -> None:
    found = verdict((0, 1, 3), [(1_000, 3_000), (3_000, 5_001), (5_001, 11_000)])
    assert found.missing == [("ember", IDS[2], 5_000)]
    assert "claimed, and not on the log" in found.faults[1]


def test_a_claim_holds_its_first_moment_and_not_its_last() -> None:
    assert [at for _, _, at in verdict((), [(4_999, 5_000), (5_500, 9_000)], 10_000).missing] == [4_999]


def test_an_event_on_the_log_that_nobody_said_is_one() -> None:
    kept = Kept({(IDS[0], AT[0]), (IDS[0], AT[1]), (b"x" * 16, AT[0])}, [])
    found = judge(TOLD, {"ember": kept}, SPAN, {"ember": 10_000})
    assert found.foreign == [("ember", IDS[0], AT[1]), ("ember", b"x" * 16, AT[0])]
    assert "never said" in found.faults[1]


def test_too_little_claimed_is_one() -> None:
    assert verdict((0, 1, 2, 3), [(0, 7_000)]).faults == []
    found = verdict((0, 1, 2, 3), [(0, 6_999)])
    assert found.idle == {"ember": (4_001, 4_000)}
    assert "4001 ms are unclaimed" in found.faults[1]


def test_a_channel_of_which_the_log_holds_nothing_claims_too_little() -> None:
    assert judge(TOLD, {}, SPAN, {"ember": 4_000}).idle == {"ember": (10_000, 4_000)}
