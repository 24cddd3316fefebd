"""Seeded histories with two payers and two signers at once. Again the same: TWZRD_SEED=… and the number in the
test's name."""

import os

import pytest

from tests.integration.claims.histories.acts import history
from tests.integration.claims.histories.conftest import Staged
from tests.integration.claims.histories.play import played
from tests.integration.claims.histories.verdict import faults

HISTORIES = 100


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_history(staged: Staged, number: int) -> None:
    made = history(int(os.environ["TWZRD_SEED"]), number, payers=2)
    assert faults(await played(staged, made)) == []
