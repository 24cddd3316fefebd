"""The verdict can fail: each way of breaking the processes is found by some history of the very run that finds no
fault in the whole ones."""

import os

import pytest

from tests.integration.claims.histories.acts import history
from tests.integration.claims.histories.broken import BROKEN
from tests.integration.claims.histories.conftest import Staged
from tests.integration.claims.histories.play import played
from tests.integration.claims.histories.test_two_payers import HISTORIES
from tests.integration.claims.histories.verdict import faults


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken_is_found(staged: Staged, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = BROKEN[name]
    broken.patch(monkeypatch)
    for number in range(HISTORIES):
        made = history(int(os.environ["TWZRD_SEED"]), number, broken.payers)
        if not broken.may_show_in(made):
            continue
        found = faults(await played(staged, made, sql=broken.sql, undo=broken.undo))
        if any(word in " ".join(found) for word in broken.words):
            print(f"{name}: found by history {number}")
            return
    pytest.fail(f"{name}: none of {HISTORIES} histories notices")
