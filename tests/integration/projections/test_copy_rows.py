"""Rows built by columns arrive in Postgres as they were meant, exact to the last digit."""

import random
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from projections import copy_rows


@pytest.mark.parametrize("most", [2**63 - 1, 2**127 - 1], ids=["as i64", "as Python integers"])
async def test_every_value_comes_back(db: Any, seed: int, most: int) -> None:
    chance = random.Random(seed)
    amounts = [0, 1, 9_999, 10_000, 80_800_000_000, most] + [
        chance.randrange(10 ** chance.randrange(1, 19)) for _ in range(500)
    ]
    n = len(amounts)
    keys = np.array([chance.randrange(-(2**63), 2**63) for _ in range(n)], np.int64)
    weights = np.array([chance.randrange(2**63) for _ in range(n)], np.uint64)
    column = np.array(amounts, np.int64) if most < 2**63 else amounts
    rows = copy_rows.viewer_epoch_rows(keys, weights, 7, np.arange(n, dtype=np.int64), column)
    await db.copy_to_table(
        "viewer_epochs", source=BytesIO(copy_rows.SIGNATURE + rows + copy_rows.TRAILER), format="binary"
    )
    found = await db.fetch("select * from viewer_epochs order by leaf_index")
    assert [(row[0], row[1], row[2], row[3], int(row[4])) for row in found] == [
        (int(keys[i]), int(weights[i]), 7, i, amounts[i]) for i in range(n)
    ]
