"""Rows built by columns arrive in Postgres as they were meant, exact to the last digit."""

import random
from typing import Any

import numpy as np
import pytest

from projections.copy_rows import copy_rows, viewer_epoch_rows, viewer_login_rows
from projections.known_logins import Sightings, padded

EPOCH_COLUMNS = ("viewer_key", "weight_centi", "seal_id", "leaf_index", "increase_base_units")
LOGIN_COLUMNS = ("viewer_key", "login", "first_seen_ms", "last_seen_day")


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
    rows = viewer_epoch_rows(keys, weights, 7, np.arange(n, dtype=np.int64), column)
    await copy_rows(db, "viewer_epochs", EPOCH_COLUMNS, rows)
    found = await db.fetch("select * from viewer_epochs order by leaf_index")
    assert [(row[0], row[1], row[2], row[3], int(row[4])) for row in found] == [
        (int(keys[i]), int(weights[i]), 7, i, amounts[i]) for i in range(n)
    ]


@pytest.mark.parametrize("logins", [["ann", "x" * 8, "", "y" * 41], ["cé", "a"], ["z"]], ids=["ASCII", "utf8", "one"])
async def test_logins_of_any_length_come_back_with_their_times(db: Any, logins: list[str]) -> None:
    n = len(logins)
    keys, days = np.arange(n, dtype=np.int64) - 1, np.array([0, 10_957, 20_000, 40_000][:n], np.int64)
    rows = viewer_login_rows(Sightings(keys, padded(logins), keys * 10**12, days))
    await copy_rows(db, "viewer_logins", LOGIN_COLUMNS, rows)
    found = await db.fetch("select *, last_seen_day - date '1970-01-01' as day from viewer_logins order by viewer_key")
    assert [(row["viewer_key"], row["login"], row["first_seen_ms"], row["day"]) for row in found] == [
        (int(keys[i]), logins[i], int(keys[i]) * 10**12, int(days[i])) for i in range(n)
    ]
