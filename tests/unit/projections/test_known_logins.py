"""What the table has for sure is not written again; whatever is not sure is."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from projections.known_logins import KnownLogins, Sightings, padded

ROWS = st.lists(
    st.tuples(st.integers(-5, 20), st.sampled_from(["", "ann", "anna", "cé", "x" * 40, "x" * 41]), st.integers(0, 3)),
    max_size=12,
)


def sightings(rows: Sequence[tuple[int, str, int]]) -> Sightings:
    keys = np.array([key for key, _, _ in rows], np.int64)
    days = np.array([day for _, _, day in rows], np.int64)
    return Sightings(keys, padded([login for _, login, _ in rows]), days * 1000, days)


def learn(known: KnownLogins, rows: Sequence[tuple[int, str, int]]) -> list[int]:
    news: list[int] = known.learn(sightings(rows)).tolist()
    return news


def test_a_usual_hour_of_known_viewers_is_no_news() -> None:
    known = KnownLogins(10)
    assert learn(known, [(1, "ann", 5), (2, "bob", 5)]) == [0, 1]
    assert learn(known, [(1, "ann", 5), (2, "bob", 5)]) == []
    assert learn(known, [(1, "anna", 5), (2, "bob", 6)]) == [0, 1]
    assert learn(known, [(1, "anna", 4)]) == [0], "an earlier first time is news"
    known.forget()
    assert learn(known, [(1, "anna", 5)]) == [0]


@given(st.lists(ROWS, max_size=6))
def test_nothing_is_left_out_that_the_table_lacks(batches: list[list[tuple[int, str, int]]]) -> None:
    # Four slots only, so that viewers put each other out all the time.
    known, table = KnownLogins(2), dict[tuple[int, str], tuple[int, int]]()
    for batch in batches:
        news = set(learn(known, batch))
        for place, (key, login, day) in enumerate(batch):
            if place in news:
                first, last = table.get((key, login), (day * 1000, day))
                table[key, login] = (min(first, day * 1000), max(last, day))
        for key, login, day in batch:
            first, last = table[key, login]
            assert first <= day * 1000 and last >= day


@given(ROWS)
def test_merged_sightings_are_each_viewer_and_login_once_with_all_their_time(rows: list[tuple[int, str, int]]) -> None:
    expected: dict[tuple[int, bytes], tuple[int, int]] = {}
    for key, login, day in rows:
        first, last = expected.get((key, login.encode()), (day * 1000, day))
        expected[key, login.encode()] = (min(first, day * 1000), max(last, day))
    found = sightings(rows).merged()
    assert (
        dict(
            zip(
                zip(found.viewer_key.tolist(), found.login.tolist(), strict=True),
                zip(found.first_ms.tolist(), found.last_day.tolist(), strict=True),
                strict=True,
            )
        )
        == expected
    )
    assert len(found) == len(expected)
    assert found.viewer_key.tolist() == sorted(found.viewer_key.tolist())
