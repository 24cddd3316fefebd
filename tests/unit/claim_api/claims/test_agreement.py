"""What several nodes say of one signature."""

import pytest

from claim_api.chain.agreement import agreed
from claim_api.chain.port import Status

LANDED, FAILED, SEEN = Status(9, True, None), Status(9, True, '"X"'), Status(9, False, None)
LATER = Status(10, True, None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([LANDED], LANDED),
        ([FAILED], FAILED),
        ([None], None),
        ([SEEN], SEEN),
        ([LANDED, None], None),
        ([LANDED, SEEN], SEEN),
        ([LANDED, FAILED], SEEN),
        ([LANDED, LANDED], LANDED),
        ([LANDED, None, None], None),
        ([LANDED, LANDED, None], LANDED),
        ([LANDED, LANDED, FAILED], LANDED),
        ([LANDED, FAILED, None], SEEN),
        ([FAILED, FAILED, LANDED], FAILED),
        ([LANDED, LATER, None], SEEN),
        ([LANDED, LANDED, None, None], None),
        ([LANDED, LANDED, LANDED, FAILED], LANDED),
    ],
)
def test_more_than_half_of_those_that_answer_decide(said: list[Status | None], expected: Status | None) -> None:
    assert agreed(said) == expected
