"""Histories with one payer and one signer."""

import os

import pytest

from tests.integration.claims.histories.acts import history
from tests.integration.claims.histories.conftest import Staged
from tests.integration.claims.histories.evidence import evidence_of, supply
from tests.integration.claims.histories.verdict import faults

HISTORIES = int(os.environ.get("HN","40"))


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_history(staged: Staged, number: int) -> None:
    made = history(int(os.environ["TWZRD_SEED"]), number, 1+number%2)
    print(made)
    async with staged(made) as stage:
        starting = supply(stage.setting)
        await stage.act_out()
        found = await evidence_of(stage, starting)
    print(dict(found.figures), [str(x) for x in stage.armed.reached], "lies", found.lies)
    assert faults(found) == []
