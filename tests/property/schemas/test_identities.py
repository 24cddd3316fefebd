"""Identities checked all at once are judged as one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.identity import check, check_all

good = st.integers(0, 10**20 - 1).map("twitch:id:{}".format) | st.text(
    st.characters(exclude_categories=["Z", "C"], exclude_characters=":"), min_size=1, max_size=140
).map("twitch:login:{}".format)
odd = st.sampled_from(
    ["", "\n", "twitch:id:", "twitch:id:1\ntwitch:id:2", "twitch:login:a\x1d", "twitch:login::a", "x"]
)


def well_formed(identity: str) -> bool:
    try:
        check(identity)
    except SchemaError:
        return False
    return True


@given(st.lists(good | odd, max_size=8))
def test_all_at_once_is_as_one_by_one(identities: list[str]) -> None:
    if all(map(well_formed, identities)):
        check_all(identities)
    else:
        with pytest.raises(SchemaError):
            check_all(identities)
